-- include: prefix
-- flags: allow-oom
-- cut_renew: the one who cuts is still there. Keys: cut, cut:dirty.
-- ARGV: name of the cut, ms that it lasts unless it is renewed. Answer: 1; 0 when it has been lost
if redis.call('GET', T .. 'cut') ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', T .. 'cut:dirty', 10 * ARGV[2])
return redis.call('PEXPIRE', T .. 'cut', ARGV[2])
