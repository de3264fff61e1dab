-- What is given to holders: messages.
-- A message is 19 texts: FIELDS in order ('' for what the record lacks), with the number in the place of '#', which no
-- record has. A hand-off list holds messages, each with the storage's change number behind it, so that one BLMPOP of HAND
-- elements reads one; what begins with the number 'wake' only wakes.
local FIELDS = {'#', 't', 'b', 'h', 'u', 'c', 'd', 'x', 'n', 'v', 'q', 'z', 'a', 'hk', 'to', 'i', 'tg', 'tr', 'lk'}
local HAND = 20
-- what is looked up once a script; LATER: queues to be served at its end, where the one who asks claims first
local CODES, STATE, CHANGE, LIMITED, PAUSES, SPECS, GATES, LATER
-- what the server is doing, the number of the newest change of its storage, whether there are any limits and pauses: one
-- look a script
local function look()
  local v = redis.call('HMGET', T .. 'server', 'state', 'change', 'limits', 'pauses')
  STATE, CHANGE, LIMITED, PAUSES = v[1] or 'none', v[2] or '0', v[3], v[4]
end
local function newest_change()
  if not CHANGE then look() end
  return CHANGE
end
local function server_state()
  if not STATE then look() end
  return STATE
end
local function has(code, t) return redis.call('SISMEMBER', T .. 'code:' .. code, t) == 1 end
local function message(n)
  local m = redis.call('HMGET', T .. 'p:' .. n, unpack(FIELDS))
  m[1] = n
  for i = 2, #FIELDS do m[i] = m[i] or '' end
  return m
end
