-- now() -> milliseconds since 1970 by the clock of Redis: the one clock that every script goes by.
local function now()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
