-- late: slot_owners slots
-- Who waits for whom. A wait for what one of several may give, a slot of a semaphore or of a limit, is lost only when all
-- of them are.
-- The owners that can end a wait for `wanted`; a signal has none: anybody may trigger it
local function owners_of(wanted)
  local n = string.match(wanted, '^p:(%d+)$')
  if n then
    local r = redis.call('HMGET', T .. wanted, 'o', 'd')
    return r[1] and {string.format('%s/%s.%d', r[1], n, tonumber(r[2] or 0) + 1)} or slot_owners(n)
  end
  local semaphore = string.match(wanted, '^sem:(.*)$')
  if semaphore then return redis.call('HKEYS', T .. 'sem:h:' .. semaphore) end
  if string.match(wanted, '^sig:') then return {} end
  local owner = redis.call('HGET', T .. wanted, 'o')
  return owner and {owner} or {}
end
-- Would `me`, waiting for `wanted`, wait for ever, because all who could end that wait for it in turn?
-- Answers {what the last one before me waits for, owner, what it waits for, owner, …}, or nil: no circle.
local function circle(me, wanted)
  local seen, chain = {}, nil
  local function lost(wanted, path)
    local owners = owners_of(wanted)
    for _, owner in ipairs(owners) do
      if owner == me then
        chain = chain or {path[#path] or '', unpack(path)}
      elseif not seen[owner] then
        seen[owner] = true
        local next = redis.call('HGET', T .. 'waits', owner)
        local further = {unpack(path)}
        further[#further + 1] = owner
        further[#further + 1] = next
        if not next or #further > 200 or not lost(next, further) then return false end
      end
    end
    return #owners > 0
  end
  return lost(wanted, {}) and chain or nil
end
