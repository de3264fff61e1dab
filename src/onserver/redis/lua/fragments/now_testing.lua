-- now(), moved on by what the test plug-in's `advance` wrote into the key `clock` (milliseconds).
local NOW, STAMP
local function now()
  if not NOW then
    local t = redis.call('TIME')
    NOW = t[1] * 1000 + math.floor(t[2] / 1000) + tonumber(redis.call('GET', T .. 'clock') or 0)
    STAMP = string.format('%.0f', NOW)
  end
  return NOW
end
local function stamp()
  now()
  return STAMP
end
