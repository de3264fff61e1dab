-- include: prefix
-- flags: allow-oom
-- drain: order one worker to go, while others stay. It is counted among those that leave from now on, so that two orders
-- at once do not end the server. Keys: workers, leaving, member:M, orders:M. ARGV: member, grace_ms ('' as it has it)
-- Answer: gone (it is no worker of this epoch), last (nobody would stay), ordered
local m = ARGV[1]
if redis.call('SISMEMBER', T .. 'workers', m) == 0 then return 'gone' end
local leaving = redis.call('SCARD', T .. 'leaving') - redis.call('SISMEMBER', T .. 'leaving', m)
if redis.call('SCARD', T .. 'workers') - leaving <= 1 then return 'last' end
redis.call('SADD', T .. 'leaving', m)
redis.call('HSET', T .. 'member:' .. m, 'drain_ms', ARGV[2])
redis.call('RPUSH', T .. 'orders:' .. m, 'drain')
redis.call('LTRIM', T .. 'orders:' .. m, -1000, -1)
return 'ordered'
