-- include: offer accept
-- late: twin_name twin
-- late: end_waiting twin
-- Mailboxes: a process that works off calls, one at a time, each as if it had been put for that one alone.
--   T .. boxes      hash  name -> number of its living process
--   T .. box:NAME   list  calls that wait: packed {queue, priority, accepted ms, field, value …}
-- Of its process the record has mb the name, mi the number of the present call (which stands in the flags as well, 'M7'),
-- mp '1' while there is none, ms the call with which it starts, me '1' when that was said, mx '1' when it was told to end,
-- mf how many calls have failed, le the last error.
local OF_ONE_CALL = {
  't', 'b', 'c', 'v', 'k', 'x', 'd', 'r', 'e', 'm', 'y', 'f', 'g', 'to', 'tg', 'ex', 'lk', 'tr', 'ta', 'mp', 'ci',
}
-- the next call becomes what n is to run; false when there is none
local function load_call(n, box)
  local call = redis.call('LPOP', T .. 'box:' .. box)
  if not call then return false end
  local k, m = T .. 'p:' .. n, cmsgpack.unpack(call)
  redis.call('HDEL', k, unpack(OF_ONE_CALL))
  -- behind all that has been put by now, whatever its own number
  local z = tonumber(score(m[2], tonumber(redis.call('HGET', T .. 'numbers', 'process')))) + 0.5
  redis.call('HSET', k, 'q', m[1], 'z', string.format('%.1f', z), 'a', m[3], unpack(m, 4))
  local serial = redis.call('HINCRBY', k, 'mi', 1)
  redis.call('HSET', k, 'v', (redis.call('HGET', k, 'v') or '') .. 'M' .. serial, 's', 'queued', 'qs', now(), 'why', '')
  return true
end
-- the session and the number of the connection whose twin has this box; nil for a mailbox that somebody has named
local function twin_of(box) return string.match(box, '^remote (%x+) (%d+)$') end
-- the name of the mailbox whose process n is, by which people may name it; '' of any other, and of a twin
local function box_of(n)
  local box = redis.call('HGET', T .. 'p:' .. n, 'mb')
  return box and not twin_of(box) and box or ''
end
-- a new process for a box: what it starts with, if that was said, goes before the calls. It is still to be offered
local function begin_box(box, start, said)
  local n = redis.call('HINCRBY', T .. 'numbers', 'process', 1)
  redis.call('HSET', T .. 'boxes', box, n)
  if said then redis.call('LPUSH', T .. 'box:' .. box, start) end
  start = start or redis.call('LINDEX', T .. 'box:' .. box, 0)
  local k, session, connection = T .. 'p:' .. n, twin_of(box)
  redis.call('HSET', k, 'n', session and twin_name(session, connection) or box, 'mb', box, 'me', said and '1' or '')
  if not session then redis.call('HSET', k, 'ms', start) end
  load_call(n, box)
  return n
end
local function offer_call(n)
  local v = redis.call('HMGET', T .. 'p:' .. n, 'q', 'z', 't', 'x')
  return offer(n, v[1], v[2], v[3], v[4] or '')
end
-- a call of n has ended: does n go on? With the next call, or with none, or it was told to end
local function goes_on(n, box, state, payload)
  local k = T .. 'p:' .. n
  if state == 'failed' then
    redis.call('HINCRBY', k, 'mf', 1)
    redis.call('HSET', k, 'le', payload)
  end
  if redis.call('HGET', k, 'mx') then return false end
  redis.call('HDEL', k, 'f')
  if not load_call(n, box) then redis.call('HSET', k, 'mp', '1') end
  return true
end
-- n is at its end: what is still in its box begins a new process
local function leave_box(n, box)
  local k = T .. 'p:' .. n
  local v = redis.call('HMGET', k, 'ms', 'me', 'v')
  redis.call('HDEL', k, 'mb', 'mp', 'mx')
  redis.call('HSET', k, 'v', (string.gsub(v[3] or '', 'M%d+', '')))   -- replayed it is a process for itself
  if redis.call('HGET', T .. 'boxes', box) ~= n then return end
  redis.call('HDEL', T .. 'boxes', box)
  if redis.call('EXISTS', T .. 'box:' .. box) == 0 then return end
  local said = v[2] == '1'
  offer_call(begin_box(box, said and v[1], said))
end
-- the calls that wait in the box of n are forgotten; of a twin, each is told to have been aborted, for `why`
local function empty_box(n, box, why)
  for _, call in ipairs(twin_of(box) and redis.call('LRANGE', T .. 'box:' .. box, 0, -1) or {}) do
    end_waiting(call, n, 'aborted', why)
  end
  redis.call('DEL', T .. 'box:' .. box)
end
