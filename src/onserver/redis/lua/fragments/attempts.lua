-- Attempts: runs that raised and are followed by another, under the same number.
-- Of a record, tr is how many have failed so far, ta the last of them. What is said of one is 'N DELAY TYPE TEXT': which it
-- was, in how many ms the next is due, the class and the text of what it raised. DELAY '-': Celery has sent the next one
-- already, and the field y says when it is due.
local KEPT = 20
local function said_by_celery(said) return string.match(said, '^%d+ %- ') ~= nil end
-- notes one, once. Answers when the next is due (ms, or '0'), and whether it was news.
local function note_attempt(e, n, said)
  local k = T .. 'p:' .. n
  local number, delay, kind, text = string.match(said, '^(%d+) (%S+) (%S+) (.*)$')
  local v = redis.call('HMGET', k, 'tr', 'ta', 'y')
  local due = v[3] or '0'
  if delay ~= '-' then due = delay == '0' and '0' or string.format('%.0f', now() + tonumber(delay)) end
  if tonumber(number) <= tonumber(v[1] or 0) then return due, false end
  local all = v[2] and cmsgpack.unpack(v[2]) or {}
  all[#all + 1] = {
    n = tonumber(number), type = kind, error = text, at_ms = now(), holder = e,
    delay_ms = due == '0' and 0 or math.max(0, tonumber(due) - now()),
  }
  if #all > KEPT then table.remove(all, 1) end
  redis.call('HSET', k, 'tr', number, 'ta', cmsgpack.pack(all))
  return due, true
end
