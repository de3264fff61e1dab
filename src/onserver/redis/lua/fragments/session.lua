-- include: changes
-- Sessions. Whether one is over is judged by `until`, whoever asks; what is over is removed by who opens one, and the leader.
--   T .. s:ID      hash  a session: kind, who and whence; created seen idle limit until in ms (0: none), space, earlier
--   T .. sessions  zset  id by its end, inf where it has none
--   T .. sk:KIND   zset  id by when it was opened;  T .. su:LOGIN  set  ids of the sessions of a user
--   T .. rotated   hash  space -> id, of sessions that have another id than when they were opened
--   T .. emptying  set   spaces of sessions that are over, while they have entries
local SOME = 200
local CHANGE
-- whether one that ends then is not over
local function lasts(ends) return ends and (ends == '0' or tonumber(ends) > now()) end
local function there(id) return lasts(redis.call('HGET', T .. 's:' .. id, 'until')) end
-- all fields, and `now`
local function told(id)
  local fields = redis.call('HGETALL', T .. 's:' .. id)
  fields[#fields + 1] = 'now'
  fields[#fields + 1] = stamp()
  return fields
end
local function set_end(id)
  local v = redis.call('HMGET', T .. 's:' .. id, 'seen', 'idle', 'limit', 'heard')
  local idle, limit = tonumber(v[2]), tonumber(v[3])
  local ends = idle > 0 and (v[4] or v[1]) + idle or 0   -- that of a client lasts while the client itself is heard
  if limit > 0 and (ends == 0 or limit < ends) then ends = limit end
  local text = string.format('%.0f', ends)
  redis.call('HSET', T .. 's:' .. id, 'until', text)
  redis.call('ZADD', T .. 'sessions', ends == 0 and 'inf' or text, id)
  return text
end
-- note that it is used, if the last note is older than `ms`, or than half of the time that it lasts unused: a session is
-- asked for much oftener than its end matters. When it was used, and its end
local function use(id, ms, seen, idle, ends)
  if now() - seen < (idle == '0' and tonumber(ms) or math.min(ms, idle / 2)) then return seen, ends end
  redis.call('HSET', T .. 's:' .. id, 'seen', stamp())
  return stamp(), set_end(id)
end
local function enter(id, kind, login, created)
  redis.call('ZADD', T .. 'sk:' .. kind, created, id)
  if login ~= '' then redis.call('SADD', T .. 'su:' .. login, id) end
  set_end(id)
end
-- some entries of a storage that nobody has any more go; `empty` again until `emptying` does not name it
local function empty(space)
  local name = 'ss:' .. space .. ':'
  local keys = redis.call('SRANDMEMBER', T .. name .. 'index', SOME)
  if #keys > 0 and not CHANGE then
    unlogged()
    CHANGE = next_change()
  end
  for _, key in ipairs(keys) do removed(name, key, CHANGE) end
  local left = redis.call('EXISTS', T .. name .. 'index') == 1
  redis.call(left and 'SADD' or 'SREM', T .. 'emptying', space)
  return #keys
end
-- to be called when all are through: what was emptied is one change
local function emptied() if CHANGE then log_changes(CHANGE, '') end end
local function leave(id)
  local v = redis.call('HMGET', T .. 's:' .. id, 'kind', 'login')
  redis.call('ZREM', T .. 'sessions', id)
  if v[1] then redis.call('ZREM', T .. 'sk:' .. v[1], id) end
  if v[2] and v[2] ~= '' then redis.call('SREM', T .. 'su:' .. v[2], id) end
  return v[1]
end
local function end_session(id)
  local space = redis.call('HGET', T .. 's:' .. id, 'space')
  local kind = leave(id)
  redis.call('DEL', T .. 's:' .. id, T .. 'sm:' .. id)
  if kind == 'remote' then   -- see the fragment `remote`
    redis.call('DEL', T .. 'rc:' .. id, T .. 're:' .. id)
    redis.call('ZREM', T .. 'closing', id)
    redis.call('HDEL', T .. 'asked', id)
  end
  if not kind or kind == 'storedProcedure' then return end
  redis.call('HDEL', T .. 'rotated', space)
  empty(space)
end
