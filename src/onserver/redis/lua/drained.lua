-- include: prefix
-- flags: allow-oom
-- drained: nothing runs any more at this worker. Keys: drained, workers. ARGV: member. Answer: workers that still work
redis.call('SADD', T .. 'drained', ARGV[1])
return redis.call('SCARD', T .. 'workers') - redis.call('SCARD', T .. 'drained')
