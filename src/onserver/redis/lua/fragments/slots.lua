-- include: limits
-- Slots of limits in the graph of who waits for whom.
-- The full limit for which process m, which has not begun, has to wait; nil where there is none
local function full_limit(m)
  local v = redis.call('HMGET', T .. 'p:' .. m, 's', 'o', 'q', 't', 'lk')
  if v[1] ~= 'queued' or v[2] then return nil end
  local name, s = limit_of(v[4], v[5] or '')
  for _ = 1, 2 do
    if s and s.at > 0 and redis.call('SCARD', T .. 'slots:' .. name) >= s.at then return name end
    name, s = 'q:' .. v[3], spec_of('q:' .. v[3])
  end
end
-- those whose end can let m begin: whoever has a slot of that limit
local function slot_owners(m)
  local owners, name = {}, full_limit(m)
  for _, n in ipairs(name and redis.call('SMEMBERS', T .. 'slots:' .. name) or {}) do
    local v = redis.call('HMGET', T .. 'p:' .. n, 'o', 'd')
    if v[1] then owners[#owners + 1] = string.format('%s/%s.%d', v[1], n, tonumber(v[2] or 0) + 1) end
  end
  return owners
end
