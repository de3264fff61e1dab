-- include: locks semaphores signals
-- Everything that a dead holder had or waited for falls; with `owner` only what that run of it had.
local function drop_one(ticket, name, line)
  local kind, rest = string.match(name, '^(s[ei][mg]):(.*)$')
  if kind == 'sem' then
    if line then leave_semaphore(rest, ticket) end
    local _, owner = of_ticket(ticket)
    if not line and redis.call('HGET', T .. 'sem:h:' .. rest, owner) == ticket then clear_semaphore(rest, owner) end
  elseif kind == 'sig' then
    cease_to_wait(rest, ticket)
  elseif line then
    leave_line(name, ticket)
  else
    unlock(name, ticket)
  end
end
local function drop_locks(holder, owner)
  local all = {}
  for _, one in ipairs(redis.call('SMEMBERS', T .. 'locks:' .. holder)) do
    if not owner or string.match(one, '^%S+ (%S+)') == owner then all[#all + 1] = one end
  end
  for pass = 1, 2 do   -- first out of all lines, so that nothing is passed on to the dead
    for _, one in ipairs(all) do
      local ticket, name = string.match(one, '^(%S+ %S+ %d+) (.*)$')
      drop_one(ticket, name, pass == 1)
    end
  end
  for _, one in ipairs(owner and {owner} or redis.call('HKEYS', T .. 'waits')) do   -- waits for other processes
    if holder_of(one) == holder then
      redis.call('HDEL', T .. 'waits', one)
      redis.call('HDEL', T .. 'since', one)
    end
  end
end
