-- include: waiting
-- Semaphores, first come first served: as many owners at once as there are slots, each owner once.
--   T .. sem:h:NAME   hash  owner -> ticket of each who has it
--   T .. sem:w:NAME   zset  the line: tickets by number of arrival
-- Whenever a slot falls free it goes to the first living one in line, in the same script.
local function admit_next(name)
  local held, line = T .. 'sem:h:' .. name, T .. 'sem:w:' .. name
  local head = redis.call('ZRANGE', line, 0, 0)[1]
  while head do
    local token, owner, slots = of_ticket(head)
    local dead = fenced(holder_of(owner))
    if not dead and redis.call('HLEN', held) >= tonumber(slots) then return end
    redis.call('ZREM', line, head)
    waits_no_more(owner)
    if dead then
      forget('sem:' .. name, head, owner)
    else
      redis.call('HSET', held, owner, head)
      tell_token(token, 'yours', '')
    end
    head = redis.call('ZRANGE', line, 0, 0)[1]
  end
end
-- the owner has it no longer
local function clear_semaphore(name, owner)
  local held = T .. 'sem:h:' .. name
  local ticket = redis.call('HGET', held, owner)
  if not ticket then return 0 end
  redis.call('HDEL', held, owner)
  forget('sem:' .. name, ticket, owner)
  admit_next(name)
  return 1
end
local function leave_semaphore(name, ticket)
  local _, owner = of_ticket(ticket)
  if redis.call('ZREM', T .. 'sem:w:' .. name, ticket) == 1 then
    forget('sem:' .. name, ticket, owner)
    waits_no_more(owner)
    admit_next(name)   -- whoever stood behind may ask for more slots
  end
end
-- what is held by the dead falls, if nobody has seen to it yet
local function clear_dead(name)
  for _, owner in ipairs(redis.call('HKEYS', T .. 'sem:h:' .. name)) do
    if fenced(holder_of(owner)) then clear_semaphore(name, owner) end
  end
end
