-- A change of a storage: its number, its entries, and the word to whoever watches (T .. SPACE .. 'changes': a message
-- 'CHANGE VERSION KEY' for each entry; version 0 when it is gone).
local function next_change() return redis.call('HINCRBY', T .. 'server', 'change', 1) end
local function tell_change(space, change, version, key)
  redis.call('PUBLISH', T .. space .. 'changes', string.format('%.0f %.0f ', change, version) .. key)
end
-- after a write to entry `key`: its version, its place in the index
local function changed(space, key, change, by)
  local e = T .. space .. 'e:' .. key
  local version = redis.call('HINCRBY', e, 'n', 1)
  if version == 1 then redis.call('SADD', T .. space .. 'index', key) end
  redis.call('HSET', e, 'ch', change, 'by', by, 'at', now())
  tell_change(space, change, version, key)
  return version
end
local function removed(space, key, change)
  if redis.call('DEL', T .. space .. 'e:' .. key) == 1 then
    redis.call('SREM', T .. space .. 'index', key)
    tell_change(space, change, 0, key)
  end
  return 0
end
