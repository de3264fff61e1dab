-- Who may begin what: admit, take, place, offer. Used wherever a process may begin.
-- A message is 19 texts: FIELDS in order ('' for what the record lacks), with the number in the place of '#', which no
-- record has. A hand-off list holds messages, each with the storage's change number behind it, so that one BLMPOP of HAND
-- elements reads one; what begins with the number 'wake' only wakes.
local FIELDS = {'#', 't', 'b', 'h', 'u', 'c', 'd', 'x', 'n', 'v', 'q', 'z', 'a', 'hk', 'to', 'i', 'tg', 'tr', 'lk'}
local HAND = 20
local CODES, STATE, CHANGE
-- what the server is doing, and the number of the newest change of its storage: one look a script
local function look()
  local v = redis.call('HMGET', T .. 'server', 'state', 'change')
  STATE, CHANGE = v[1] or 'none', v[2] or '0'
end
local function newest_change()
  if not CHANGE then look() end
  return CHANGE
end
local function hand(e, m)
  m[HAND] = newest_change()
  redis.call('RPUSH', T .. 'x:' .. e, unpack(m))
end
local function wake(e)
  local m = {'wake'}
  for i = 2, HAND do m[i] = '' end
  redis.call('RPUSH', T .. 'x:' .. e, unpack(m))
end
local function server_state()
  if not STATE then look() end
  return STATE
end
local function codes()
  CODES = CODES or redis.call('HKEYS', T .. 'codes')
  return CODES
end
-- the one decision: a process of procedure t with root x, on a holder whose code is `code`
local function has(code, t) return redis.call('SISMEMBER', T .. 'code:' .. code, t) == 1 end
-- a code of coroutines says so among its names, by one that no procedure can have
local COROUTINES = ' coroutines'
local function open_to(x) return x ~= '' or server_state() == 'running' end
local function admit(t, x, code) return open_to(x) and has(code, t) end
local function message(n)
  local m = redis.call('HMGET', T .. 'p:' .. n, unpack(FIELDS))
  m[1] = n
  for i = 2, #FIELDS do m[i] = m[i] or '' end
  return m
end
-- n is held by e from here on, before its message travels
local function take(n, e, m)
  redis.call('HSET', T .. 'p:' .. n, 's', 'running', 'o', e, 'g', now())
  redis.call('RPUSH', T .. 'held:' .. e, n)
  return m or message(n)
end
-- e waits no longer: out of the idle set of each of its queues
local function unlist(e)
  local h = redis.call('HMGET', T .. 'h:' .. e, 'queues', 'code')
  for q in string.gmatch(h[1] or '', '%S+') do redis.call('SREM', T .. 'idle:' .. q .. ':' .. h[2], e) end
end
-- n waits: with the other processes of its queue, with those of hooks, or apart (known is false) where workers are, but
-- not all of them have its procedure (where there is no worker at all, nobody knows yet)
local function place(n, q, z, t, x, known)
  redis.call('SADD', T .. 'queues', q)
  if x ~= '' then
    redis.call('ZADD', T .. 'r:' .. q, z, n)
    redis.call('SADD', T .. 'special:' .. q, 'root')
  elseif known or #codes() == 0 then
    redis.call('ZADD', T .. 'q:' .. q, z, n)
  else
    redis.call('ZADD', T .. 'parked:' .. q .. ':' .. t, z, n)
    redis.call('SADD', T .. 'special:' .. q, 'p:' .. t)
  end
end
-- n goes straight to an idle holder that may begin it, else it waits: apart, if it is a coroutine or was refused by one
-- who has not its procedure. Answers the holder or nil, and whether any worker has the procedure
local function offer(n, q, z, t, x, refused)
  local known, apart = false, refused
  for _, code in ipairs(codes()) do
    if has(code, t) then
      known, apart = true, apart or has(code, COROUTINES)
      local idle = T .. 'idle:' .. q .. ':' .. code
      local e = open_to(x) and redis.call('SPOP', idle)
      while e do
        unlist(e)
        if redis.call('SISMEMBER', T .. 'live', e) == 1 then
          hand(e, take(n, e))
          return e, true
        end
        e = redis.call('SPOP', idle)
      end
    end
  end
  place(n, q, z, t, x, known and not apart)
  return nil, known
end
