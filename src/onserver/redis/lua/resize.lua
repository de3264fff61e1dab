-- include: prefix
-- flags: allow-oom
-- resize: order one worker to have another number of executors. It keeps it until it ends.
-- Keys: workers, member:M, orders:M. ARGV: member, how many
-- Answer: gone (it is no worker of this epoch), pool (one of Celery's, which knows no such order), ordered
local m = ARGV[1]
if redis.call('SISMEMBER', T .. 'workers', m) == 0 then return 'gone' end
if redis.call('HEXISTS', T .. 'member:' .. m, 'pool') == 1 then return 'pool' end
redis.call('HSET', T .. 'member:' .. m, 'executors', ARGV[2])
redis.call('RPUSH', T .. 'orders:' .. m, 'executors')
redis.call('LTRIM', T .. 'orders:' .. m, -1000, -1)
return 'ordered'
