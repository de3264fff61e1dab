-- now() -> milliseconds since 1970 by the clock of Redis: the one clock that every script goes by. It is asked once: a
-- script is one moment.
local NOW
local function now()
  if not NOW then
    local t = redis.call('TIME')
    NOW = t[1] * 1000 + math.floor(t[2] / 1000)
  end
  return NOW
end
