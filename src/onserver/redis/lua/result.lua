-- include: prefix
-- flags: allow-oom
-- result: how a process stands. Keys: p:N. ARGV: number
-- Answer: {state, result, error, Celery extras, deliveries, procedure, name, again due} or nil for an unknown number
local v = redis.call('HMGET', T .. 'p:' .. ARGV[1], 's', 'r', 'e', 'm', 'd', 't', 'n', 'y')
return v[1] and v
