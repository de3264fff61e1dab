-- n is taken out of wherever it waits.
local function unplace(n)
  redis.call('ZREM', T .. 'due', n)
  redis.call('ZREM', T .. 'resting', n)
  local v = redis.call('HMGET', T .. 'p:' .. n, 'q', 't', 'x', 'lk')
  local side = (v[3] or '') ~= '' and 'r' or 'q'
  for _, key in ipairs({'', v[4] or ''}) do
    local line = T .. 'line:' .. side .. ' ' .. v[1] .. ' ' .. v[2] .. (key ~= '' and ' ' .. key or '')
    redis.call('ZREM', line, n)
  end
end
