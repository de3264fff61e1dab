-- include: prefix
-- flags: allow-oom
-- unwatch_variable: be told no longer. Keys: vw:N, w:N. ARGV: number, "CLIENT TOKEN". Answer: 1 when it was registered
redis.call('SREM', T .. 'w:' .. ARGV[1], ARGV[2])
return redis.call('HDEL', T .. 'vw:' .. ARGV[1], ARGV[2])
