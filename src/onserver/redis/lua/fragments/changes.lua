-- A change of a storage: its number, its entries, and the word to whoever watches (T .. SPACE .. 'changes': a message
-- 'CHANGE VERSION KEY' for each entry; version 0 when it is gone).
-- Where changes are logged, each stands in the stream `journal` until it is in a file (T .. journal is there; its last one
-- stays): c its number, a when, b by whom, then k a key and d 'VERSION KIND VALUE' for each entry; l '1' in its last part.
local LOG
local LOG_ENTRIES, LOG_BYTES, LOG_PART = 100000, 268435456, 1000
-- nil, or the refusal of a change: too many are to be written to a file, and nobody does it
local function unlogged()
  local length = RARE and redis.call('XLEN', T .. 'journal') or 0
  LOG = length > 0 and {} or false
  if LOG and (length > LOG_ENTRIES or redis.call('MEMORY', 'USAGE', T .. 'journal') > LOG_BYTES) then
    return redis.error_reply('ONS 1274 ' .. length)
  end
end
local function log_changes(change, by)
  for first = 1, LOG and #LOG or 0, 4 * LOG_PART do
    local last = math.min(first + 4 * LOG_PART - 1, #LOG)
    redis.call('XADD', T .. 'journal', '*', 'c', change, 'a', now(), 'b', by, 'l', last == #LOG and '1' or '0',
      unpack(LOG, first, last))
  end
end
local function log_entry(k, version)
  local v = redis.call('HMGET', T .. k, 'v', 'k')
  local at = #LOG
  LOG[at + 1], LOG[at + 2], LOG[at + 3] = 'k', k, 'd'
  LOG[at + 4] = string.format('%.0f ', version) .. (v[2] or '') .. ' ' .. (v[1] or '')
end
local function next_change()
  NEWEST = redis.call('HINCRBY', T .. 'server', 'change', 1)
  return NEWEST
end
local function tell_change(space, change, version, key)
  redis.call('PUBLISH', T .. space .. 'changes', string.format('%.0f %.0f ', change, version) .. key)
end
-- a write to entry `key`: its version, its place in the index. before: its version so far, where that was read; then
-- field, value … to be written
local function changed(space, key, change, by, before, ...)
  local e = T .. space .. 'e:' .. key
  local version = before and before + 1 or redis.call('HINCRBY', e, 'n', 1)
  if version == 1 then redis.call('SADD', T .. space .. 'index', key) end
  redis.call('HSET', e, 'n', version, 'ch', change, 'by', by, 'at', stamp(), ...)
  tell_change(space, change, version, key)
  if LOG then log_entry(space .. 'e:' .. key, version) end
  return version
end
local function removed(space, key, change)
  if redis.call('DEL', T .. space .. 'e:' .. key) == 1 then
    redis.call('SREM', T .. space .. 'index', key)
    tell_change(space, change, 0, key)
    if LOG then log_entry(space .. 'e:' .. key, 0) end
  end
  return 0
end
