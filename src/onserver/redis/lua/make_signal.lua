-- include: prefix
-- make_signal: make a one-shot signal. Keys: sg:e:NAME. ARGV: name, properties, ms that it lives after its last use
-- Answer: 1
local e = T .. 'sg:e:' .. ARGV[1]
if redis.call('EXISTS', e) == 0 then redis.call('HSET', e, 'v', ARGV[2], 'n', 1, 'k', 'v') end
redis.call('PEXPIRE', e, ARGV[3])
return 1
