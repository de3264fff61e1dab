-- include: prefix semaphores
-- flags: allow-oom
-- leave_semaphore: stop waiting for a semaphore, unless it has come meanwhile. Keys: those of semaphore.
-- ARGV: name, ticket. Answer: 1 when its owner has it
local _, owner = of_ticket(ARGV[2])
if redis.call('HGET', T .. 'sem:h:' .. ARGV[1], owner) == ARGV[2] then return 1 end
leave_semaphore(ARGV[1], ARGV[2])
return 0
