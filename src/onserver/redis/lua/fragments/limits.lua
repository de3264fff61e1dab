-- include: hold stand turns
-- Limits: how many run at once, how many begin in a time. A limit is named 'p:PROCEDURE', 'p:PROCEDURE KEY' or 'q:QUEUE'.
--   T .. limits       hash  'p:PROCEDURE' or 'q:QUEUE' -> 'AT_ONCE RATE PER_MS KEYED PROCEDURE'; 0 for none; KEYED k or -;
--                           the procedure is another one for an alias
--   T .. slots:LIMIT  set   the numbers that it counts: from `take` until they end or go back; `ls` of a record names them
--   T .. rate:LIMIT   list  when the last RATE of them began, ms; PER_MS
--   T .. closed       zset  'LIMIT\nLINE' for each line that it has closed
-- A closed line is opened when a slot of its limit falls free, at its turn, or when limits change: nobody asks for it.
local function spec_of(field)
  if not STATE then look() end
  if not LIMITED then return nil end
  SPECS = SPECS or {}
  local s = SPECS[field]
  if s == nil then
    local text = redis.call('HGET', T .. 'limits', field)
    local at, rate, per, keyed, name = string.match(text or '', '^(%d+) (%d+) (%d+) (%S) (.*)$')
    s = at and {at = tonumber(at), rate = tonumber(rate), per = tonumber(per), keyed = keyed == 'k', name = name}
    SPECS[field] = s or false
  end
  return s or nil
end
-- name and rule of the limit of procedure t; nil where there is none, or its key is not known yet (who runs it will tell)
local function limit_of(t, key)
  local s = spec_of('p:' .. t)
  if not s or (s.keyed and key == '') then return nil end
  return 'p:' .. s.name .. (s.keyed and ' ' .. key or ''), s
end
-- the clock was set back: what has begun by then has begun now
local function set_back(k, s)
  local count = redis.call('LLEN', k)
  redis.call('DEL', k)
  for _ = 1, count do redis.call('RPUSH', k, now()) end
  redis.call('PEXPIRE', k, s.per)
  return now()
end
-- May one more begin? If only its rate is against it, its turn is noted.
local function room(name, s)
  if s.at > 0 and redis.call('SCARD', T .. 'slots:' .. name) >= s.at then return false end
  if s.rate > 0 then
    local began = tonumber(redis.call('LINDEX', T .. 'rate:' .. name, -s.rate) or 0)
    if began > now() then began = set_back(T .. 'rate:' .. name, s) end
    local left = began + s.per - now()
    if left > 0 then
      turn(now() + left, 'l:' .. name)
      return false
    end
  end
  return true
end
local function count_in(name, s, n)
  if s.rate > 0 then
    local k = T .. 'rate:' .. name
    redis.call('RPUSH', k, now())
    redis.call('LTRIM', k, -s.rate, -1)
    redis.call('PEXPIRE', k, s.per)
  end
  if s.at == 0 then return '' end
  redis.call('SADD', T .. 'slots:' .. name, n)
  return name .. '\n'
end
-- n begins: the names of the limits in which it has a slot from here on, '' for none
local function occupy(n, q, t, key)
  if (q or '') == '' then return '' end
  local slots, name, s = '', limit_of(t, key)
  if name then slots = count_in(name, s, n) end
  s = spec_of('q:' .. q)
  return s and slots .. count_in('q:' .. q, s, n) or slots
end
-- n began before there was such a limit
local function count_running(n)
  local v = redis.call('HMGET', T .. 'p:' .. n, 't', 'q', 'lk', 'ls')
  local slots = v[4] or ''
  local function count(name, s)
    if s and s.at > 0 and redis.call('SADD', T .. 'slots:' .. name, n) == 1 then slots = slots .. name .. '\n' end
  end
  if (v[2] or '') == '' then return end
  count(limit_of(v[1], v[3] or ''))
  count('q:' .. v[2], spec_of('q:' .. v[2]))
  if slots ~= '' then redis.call('HSET', T .. 'p:' .. n, 'ls', slots) end
end
-- n was claimed and has not begun: its rates do not count it. Answers the limits that have a token more, like `occupy`
local function uncount(n)
  local v, names = redis.call('HMGET', T .. 'p:' .. n, 't', 'q', 'lk', 'g'), ''
  local function give(name, s)
    if s and s.rate > 0 and redis.call('LREM', T .. 'rate:' .. name, '-1', v[4]) == 1 then names = names .. name .. '\n' end
  end
  if not v[4] or (v[2] or '') == '' then return names end
  give(limit_of(v[1], v[3] or ''))
  give('q:' .. v[2], spec_of('q:' .. v[2]))
  return names
end
-- n runs no more. Its slots are passed on by `pass_slots`, after n was placed where it waits
local function vacate(n, slots)
  redis.call('HDEL', T .. 'p:' .. n, 'ls')
  for name in string.gmatch(slots, '[^\n]+') do redis.call('SREM', T .. 'slots:' .. name, n) end
end
-- is the limit of this line full? Then the line is closed
local function shut(side, q, t, key)
  local name, s = limit_of(t, key)
  if not name or room(name, s) then return false end
  close_line(side, q, t, key)
  redis.call('ZADD', T .. 'closed', 0, name .. '\n' .. side .. ' ' .. q .. ' ' .. t .. (key ~= '' and ' ' .. key or ''))
  return true
end
local function queue_full(q)
  local s = spec_of('q:' .. q)
  return s and not room('q:' .. q, s)
end
