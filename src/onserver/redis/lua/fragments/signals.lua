-- include: waiting
-- Signals. One whose name begins with '#' is one-shot and has to be made; any other name is there when it is used.
--   T .. sg:e:NAME   hash  s '1' when it is signaled, at, tn nonce of the trigger; v its properties, n their version, k
--   T .. sg:q:NAME   set   tickets of those who wait; 60 s after the last look
-- Its properties are changed under a lock of the space sg:.
local function gone(name)
  return string.sub(name, 1, 1) == '#' and redis.call('EXISTS', T .. 'sg:e:' .. name) == 0
end
-- '-' as the owner in a ticket: nobody who could hold anything, a program outside of runs
local function cease_to_wait(name, ticket)
  local _, owner = of_ticket(ticket)
  redis.call('SREM', T .. 'sg:q:' .. name, ticket)
  if owner ~= '-' and forget('sig:' .. name, ticket, owner) == 1 then waits_no_more(owner) end
end
