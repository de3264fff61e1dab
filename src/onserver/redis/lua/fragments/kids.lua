-- What a run has started: of its record, hc is how many; the newest of them are kept beside it, as long as it is.
--   T .. kids:N  list  numbers, the oldest first
-- Of the record of each, pa is the number of the run.
local YOUNGEST = 1000
-- the processes from first to last were started by n, whose record may be gone: it may have ended before
local function note_kids(n, first, last)
  local record, kids = T .. 'p:' .. n, T .. 'kids:' .. n
  local left = redis.call('PTTL', record)
  if left == -2 then return end
  local numbers = {}
  for kid = first, last do numbers[#numbers + 1] = string.format('%.0f', kid) end
  if redis.call('RPUSH', kids, unpack(numbers)) > YOUNGEST then redis.call('LTRIM', kids, -YOUNGEST, -1) end
  redis.call('HINCRBY', record, 'hc', #numbers)
  if left > 0 then redis.call('PEXPIRE', kids, left) end
end
