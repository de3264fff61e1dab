-- A full house: somebody waits for a process that has not begun, and whoever could take it waits as well.
-- holder -> how many of its runs wait for processes; and for what they wait
local function waiting_runs()
  local waiting, targets = {}, {}
  local all = redis.call('HGETALL', T .. 'waits')
  for i = 1, #all, 2 do
    local m = string.match(all[i + 1], '^p:(%d+)$')
    if m then
      local e = string.match(all[i], '^[^/]+')
      waiting[e] = (waiting[e] or 0) + 1
      targets[m] = true
    end
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
  for m in pairs(targets) do
    local v = redis.call('HMGET', T .. 'p:' .. m, 's', 'q', 'o', 't')
    if v[1] == 'queued' and not v[3] and all_wait(v[2], v[4], waiting) then return m, v[2] end
  end
end
