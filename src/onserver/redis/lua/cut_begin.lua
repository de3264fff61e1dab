-- include: prefix
-- flags: allow-oom
-- cut_begin: from now on every script notes what it writes; whoever cut before has lost. May be called again.
-- Keys: cut, cut:dirty, cut:copies, cut:c:KEY.
-- ARGV: name of the cut, ms that it lasts unless it is renewed. Answer: 1; 0 during a restore
if redis.restoring then return 0 end
for _, key in ipairs(redis.call('HKEYS', T .. 'cut:copies')) do redis.call('UNLINK', T .. 'cut:c:' .. key) end
redis.call('UNLINK', T .. 'cut:copies', T .. 'cut:dirty')
redis.call('SET', T .. 'cut', ARGV[1], 'PX', ARGV[2])
redis.call('HSET', T .. 'server', 'rare', '1')
redis.call('SADD', T .. 'cut:dirty', '')   -- it is never empty, so that its lifetime stays
redis.call('PEXPIRE', T .. 'cut:dirty', 10 * ARGV[2])
return 1
