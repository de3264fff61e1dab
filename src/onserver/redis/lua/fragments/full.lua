-- A full house: somebody waits for a process that has not begun, and whoever could take it waits as well.
-- holder -> how many of its runs wait for processes; and for which of them, each of which would have to end: lists, of
-- which one end is enough
local function waiting_runs()
  local waiting, targets = {}, {}
  local all = redis.call('HGETALL', T .. 'waits')
  for i = 1, #all, 2 do
    local how, numbers = several(all[i + 1])
    numbers = numbers or string.match(all[i + 1], '^p:(%d+)$')
    local e, list = string.match(all[i], '^[^/]+'), {}
    if numbers then waiting[e] = (waiting[e] or 0) + 1 end
    for m in string.gmatch(numbers or '', '%d+') do
      if how == 'any' then list[#list + 1] = m else targets[#targets + 1] = {m} end
    end
    if list[1] then targets[#targets + 1] = list end
  end
  return waiting, targets
end
local function places(e) return tonumber(redis.call('HGET', T .. 'h:' .. e, 'places') or 1) end
-- all who listen on q for t wait, and none of their workers can start a stand-in; a loop has none
local function all_wait(q, t, waiting)
  local any = false
  for _, e in ipairs(redis.call('SMEMBERS', T .. 'serve:' .. q)) do
    local code = redis.call('HGET', T .. 'h:' .. e, 'code') or ''
    if redis.call('SISMEMBER', T .. 'code:' .. code, t) == 1 then
      local spare = places(e) == 1 and redis.call('HGET', T .. 'member:' .. string.match(e, '^%d+'), 'spare')
      if (waiting[e] or 0) < places(e) or tonumber(spare or 0) > 0 then return false end
      any = true
    end
  end
  return any
end
-- e has no free place left: the number and queue of a process that nobody will begin for that, or nil
local function full_house(e)
  local waiting, targets = waiting_runs()
  if (waiting[e] or 0) < places(e) then return nil end
  local known = {}
  local function stuck(m)
    if known[m] == nil then
      local v = redis.call('HMGET', T .. 'p:' .. m, 's', 'q', 'o', 't')
      known[m] = v[1] == 'queued' and not v[3] and all_wait(v[2], v[4], waiting) and v[2]
    end
    return known[m]
  end
  for _, list in ipairs(targets) do
    local all = true
    for _, m in ipairs(list) do all = all and stuck(m) end
    if all then return list[1], stuck(list[1]) end
  end
end
