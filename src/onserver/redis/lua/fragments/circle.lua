-- late: slot_owners slots
-- Who waits for whom. A wait for what one of several may give, a slot of a semaphore or of a limit, or the first end of
-- several processes, is lost only when all of them are; a wait for the ends of several, when one of them is.
local VISITS = 5000
-- what is waited for at once: 'all:N N …', the ends of all of them, or 'any:N N …', the first end
local function several(wanted) return string.match(wanted, '^(a[ln][ly]):(.*)$') end
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
  local seen, visits, chain = {}, 0, nil   -- owner -> true: on the way here, false: it goes on some time
  local lost
  local function stays(owner, path)
    if owner == me then
      chain = chain or {path[#path] or '', unpack(path)}
      return true
    end
    if seen[owner] ~= nil then return seen[owner] end
    visits = visits + 1
    local next, further = redis.call('HGET', T .. 'waits', owner), {unpack(path)}
    if not next or #path > 200 or visits > VISITS then return false end
    further[#further + 1] = owner
    further[#further + 1] = next
    seen[owner] = true
    local is = lost(next, further)
    if is then seen[owner] = nil else seen[owner] = false end
    return is
  end
  function lost(wanted, path)
    local how, numbers = several(wanted)
    for n in string.gmatch(numbers or '', '%d+') do
      local before = chain
      local is = lost('p:' .. n, path)
      if not is then chain = before end
      if is == (how == 'all') then return is end
    end
    if how then return how == 'any' end
    local owners = owners_of(wanted)
    for _, owner in ipairs(owners) do
      if not stays(owner, path) then return false end
    end
    return #owners > 0
  end
  return lost(wanted, {}) and chain or nil
end
