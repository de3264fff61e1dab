-- n is taken out of wherever it waits.
local function unplace(n)
  local v = redis.call('HMGET', T .. 'p:' .. n, 'q', 't')
  for _, place in ipairs({'q:' .. v[1], 'r:' .. v[1], 'parked:' .. v[1] .. ':' .. v[2], 'due', 'resting'}) do
    redis.call('ZREM', T .. place, n)
  end
end
