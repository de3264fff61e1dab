-- now(), moved on by what the test plug-in's `advance` wrote into the key `clock` (milliseconds).
local function now()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000) + tonumber(redis.call('GET', T .. 'clock') or 0)
end
