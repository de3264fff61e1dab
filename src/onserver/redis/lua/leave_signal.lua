-- include: prefix signals
-- flags: allow-oom
-- leave_signal: wait for a signal no longer. Keys: those of wait_signal. ARGV: name, ticket
-- Answer: 1 when it is signaled
cease_to_wait(ARGV[1], ARGV[2])
return redis.call('HEXISTS', T .. 'sg:e:' .. ARGV[1], 's')
