-- What became of a schedule, the newest first, 100 lines: what happened, when, and two words.
--   s NOW TIME NUMBER   a process was started, for this time; for none (0) by hand
--   p NOW WHO, r NOW    it was paused; it goes on
--   t NOW               it begins, or has other times from now on
local function story(name, what, ...)
  local k = T .. 'starts:' .. name
  redis.call('LPUSH', k, table.concat({what, string.format('%.0f', now()), ...}, ' '))
  redis.call('LTRIM', k, 0, 99)
end
