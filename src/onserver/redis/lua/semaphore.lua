-- include: prefix semaphores circle
-- semaphore: have a semaphore, or stand in its line; sent again with the same ticket it answers how things stand now.
-- Keys: live, numbers, sem:h:NAME, sem:w:NAME, locks:HOLDER, waits, p:N.
-- ARGV: name, ticket (its number: the slots), 1 to wait in line
-- Answer: {yours, ''}, {had, ''} (its owner has it by another ticket), {busy, ''} when it would have to wait, or
--   {deadlock, one who has it, what the last in the circle waits for, owner, what it waits for, …}; nil when it waits
local name, ticket = ARGV[1], ARGV[2]
local _, owner, slots = of_ticket(ticket)
local no = guard(holder_of(owner))
if no then return no end
local held, line = T .. 'sem:h:' .. name, T .. 'sem:w:' .. name
local mine = redis.call('HGET', held, owner)
if mine then return {mine == ticket and 'yours' or 'had', ''} end
if redis.call('HLEN', held) >= tonumber(slots) then clear_dead(name) end
local waits = redis.call('ZSCORE', line, ticket)
if not waits and redis.call('EXISTS', line) == 0 and redis.call('HLEN', held) < tonumber(slots) then
  redis.call('HSET', held, owner, ticket)
  remember('sem:' .. name, ticket, owner)
  return {'yours', ''}
end
if ARGV[3] ~= '1' then return {'busy', ''} end
if not waits then
  redis.call('ZADD', line, redis.call('HINCRBY', T .. 'numbers', 'line', 1), ticket)
  remember('sem:' .. name, ticket, owner)
end
begins_to_wait(owner, 'sem:' .. name, 'semaphore ' .. name)
admit_next(name)
if redis.call('HGET', held, owner) == ticket then return {'yours', ''} end
local chain = circle(owner, 'sem:' .. name)
if not chain then return false end
leave_semaphore(name, ticket)
return {'deadlock', chain[2] or redis.call('HKEYS', held)[1], unpack(chain)}
