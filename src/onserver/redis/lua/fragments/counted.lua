-- What leaves the history before the series have counted it, so that they count it nevertheless.
--   T .. series:10s   list  one text for each 10 s, the newest at the end: see the fragment `series`
--   T .. series:left  hash  'SLOT KIND': how many have left; KIND as in HISTORY, or aborted
local STEP = 10000
local function newest(level)
  local found = redis.call('LINDEX', T .. 'series:' .. level, -1)
  return found and tonumber(string.match(found, '^%d+'))
end
-- n, of this kind and state, is removed from the history: notes it in `left`, to be written by `note_left`
local function leaves(left, kind, n, state)
  local at = redis.call('ZSCORE', T .. kind, n)
  if not at then return end
  local slot = math.floor(tonumber(at) / STEP)
  left.counted = left.counted or newest('10s') or 0
  if slot <= left.counted then return end
  local field = string.format('%.0f %s', slot, state == 'aborted' and state or kind)
  left[field] = (left[field] or 0) + 1
end
local function note_left(left)
  left.counted = nil
  for field, count in pairs(left) do redis.call('HINCRBY', T .. 'series:left', field, count) end
end
