-- now() -> milliseconds since 1970 by the clock of Redis: the one clock that every script goes by. It is asked once: a
-- script is one moment.
local NOW, STAMP
local function now()
  if not NOW then
    local t = redis.call('TIME')
    NOW, STAMP = t[1] * 1000 + math.floor(t[2] / 1000), t[1] .. string.sub('00000' .. t[2], -6, -4)
  end
  return NOW
end
-- the same as a text, for what is only stored: to write a number of this size down costs as much as a small command
local function stamp()
  now()
  return STAMP
end
