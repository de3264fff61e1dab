-- Marks: texts that are others when something has changed; one a topic. They cost as much as there are holders, not as
-- there are processes.
local MOST = 2000   -- holders, schedules: of more, those beyond are not looked at
local function last_of(key)
  local v = redis.call('ZRANGE', T .. key, -1, -1, 'WITHSCORES')
  return redis.call('ZCARD', T .. key) .. '/' .. (v[1] or '') .. '/' .. (v[2] or '')
end
local function newest_of(key)
  local v = redis.call('XREVRANGE', T .. key, '+', '-', 'COUNT', 1)
  return v[1] and v[1][1] or ''
end
local function digest(...)
  local texts = {}
  for i, key in ipairs({...}) do texts[i] = table.concat(redis.call('HGETALL', T .. key), ' ') end
  return redis.sha1hex(table.concat(texts, '/'))
end
-- whether something runs, what is held, how many locks there are
local function held_now()
  local runs, held, locks = 0, {}, 0
  for i, e in ipairs(redis.call('SMEMBERS', T .. 'live')) do
    if i > MOST then break end
    local some = redis.call('LRANGE', T .. 'held:' .. e, 0, 7)
    if some[1] then runs = 1 held[#held + 1] = table.concat(some, ',') end
    locks = locks + redis.call('SCARD', T .. 'locks:' .. e)
  end
  return runs, table.concat(held, ' '), locks
end
local function plans()
  local found = {}
  for i, name in ipairs(redis.call('SMEMBERS', T .. 'schedules')) do
    if i > MOST then break end
    local v = redis.call('HMGET', T .. 'schedule:' .. name, 'last', 'paused', 'number', 'c')
    found[i] = table.concat({name, v[1] or '', v[2] or '', v[3] or '', v[4] or ''}, ' ')
  end
  return redis.sha1hex(table.concat(found, '/'))
end
local function counts_of(kind, ...)
  local found = {}
  for i, key in ipairs({...}) do found[i] = redis.call(kind, T .. key) end
  return table.concat(found, ' ')
end
