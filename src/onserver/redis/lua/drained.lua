-- include: prefix
-- flags: allow-oom
-- drained: nothing runs any more at this worker. Keys: drained, workers, server. ARGV: member. Answer: 1 when the server
-- stops and no other worker works any more. Whoever goes says so, whether it knows of the stop or not: of two that go at
-- once the later one hears that it is the last.
redis.call('SADD', T .. 'drained', ARGV[1])
local work = redis.call('SDIFF', T .. 'workers', T .. 'drained')
return redis.call('HGET', T .. 'server', 'state') == 'stopping' and #work == 0 and 1 or 0
