-- What is given to holders: messages.
-- A message is 19 texts: FIELDS in order ('' for what the record lacks), with the number in the place of '#', which no
-- record has; what few have stands last, so that an answer need not have all of it (`short`). A hand-off list holds
-- messages, each with the storage's change number behind it, so that one BLMPOP of HAND elements reads one; what begins
-- with the number 'wake' only wakes. All of the record is read: to look for twelve fields that are not there costs more.
local FIELDS = {'#', 't', 'b', 'c', 'q', 'z', 'a', 'v', 'n', 'i', 'd', 'x', 'u', 'h', 'hk', 'to', 'tg', 'tr', 'lk'}
local AT = {
  t = 2, b = 3, c = 4, q = 5, z = 6, a = 7, v = 8, n = 9, i = 10, d = 11, x = 12, u = 13, h = 14, hk = 15, to = 16, tg = 17,
  tr = 18, lk = 19,
}
local HAND = 20
-- what is looked up once a script; LATER: queues to be served at its end, where the one who asks claims first; ROOTS: false
-- where side r of the queue is said to be empty, which is then looked at when there is nothing on the other
local CODES, STATE, CHANGE, LIMITED, PAUSES, SPECS, GATES, LATER, ALIVE, SERVED, ROOTS
-- what the server is doing, the number of the newest change of its storage, whether there are any limits and pauses, which
-- codes are alive: one look a script. Answers further fields of `server`.
local function look(...)
  local v = redis.call('HMGET', T .. 'server', 'state', 'change', 'limits', 'pauses', 'codes', ...)
  STATE, CHANGE, LIMITED, PAUSES, ALIVE = v[1] or 'none', v[2] or '0', v[3], v[4], v[5]
  return unpack(v, 6)
end
local function newest_change()
  if not CHANGE then look() end
  return CHANGE
end
local function server_state()
  if not STATE then look() end
  return STATE
end
-- A code is known by a digest of the names that it has, so what it once had it has. Of a library this is kept from run to
-- run, a thousand answers of it.
local had, count_had = {}, 0
local function has(code, t)
  local asked = T .. code .. ' ' .. t
  if had[asked] then return true end
  if redis.call('SISMEMBER', T .. 'code:' .. code, t) == 0 then return false end
  if count_had == 1000 then had, count_had = {}, 0 end
  had[asked], count_had = true, count_had + 1
  return true
end
local function message(n)
  local found, m = redis.call('HGETALL', T .. 'p:' .. n), {n, '', '', '', '', '', '', '', '', '', '', '', '', '', '', '', '', '', ''}
  for i = 1, #found, 2 do
    local at = AT[found[i]]
    if at then m[at] = found[i + 1] end
  end
  return m
end
-- the same of fields that need not be read
local function message_of(n, record)
  local m = {n}
  for i = 2, #FIELDS do m[i] = record[FIELDS[i]] or '' end
  return m
end
-- the same message without the empty texts at its end, for an answer and nothing else
local function short(m)
  local last = #FIELDS
  while m[last] == '' do
    m[last], last = nil, last - 1
  end
  return m
end
