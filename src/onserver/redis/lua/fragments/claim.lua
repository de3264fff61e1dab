-- include: hold lines limits gates
-- Claiming: the one decision what may begin, on a holder whose code is `code`. Made wherever a process may begin.
local LOOKS = 100
local CLOSED
-- n is held by e from here on, before its message travels
local function take(n, e, m)
  m = m or message(n)
  local slots = occupy(n, m[11], m[2], m[19])
  if slots == '' then
    redis.call('HSET', T .. 'p:' .. n, 's', 'running', 'o', e, 'g', now())
  else
    redis.call('HSET', T .. 'p:' .. n, 's', 'running', 'o', e, 'g', now(), 'ls', slots)
  end
  redis.call('RPUSH', T .. 'held:' .. e, n)
  return m
end
-- the line of one side of q whose turn it is: score, procedure, key. Lines whose limit is full are closed on the way.
local function first_of(side, q, code)
  local top, from = T .. side .. ':' .. q, 0
  local some = redis.call('ZRANGE', top, 0, 0, 'WITHSCORES')
  while some[1] do
    for i = 1, #some, 2 do
      local t, key = some[i], ''
      if some[i + 1] == 'inf' then return nil end
      local keyed = string.sub(t, -2) == ' *'
      if keyed then t = string.sub(t, 1, -3) end
      if has(code, t) and (side == 'r' or not paused('p:' .. t)) then
        if keyed then key = redis.call('ZRANGE', T .. 'keys:' .. side .. ' ' .. q .. ' ' .. t, 0, 0)[1] end
        local name, s = limit_of(t, key)
        if not name or room(name, s) then return tonumber(some[i + 1]), t, key end
        close_line(side, q, t, key)
        local line = side .. ' ' .. q .. ' ' .. t .. (key ~= '' and ' ' .. key or '')
        redis.call('ZADD', T .. 'closed', 0, name .. '\n' .. line)
        CLOSED = CLOSED + 1
        if CLOSED >= LOOKS then return nil end
        return first_of(side, q, code)
      end
    end
    from = from + #some / 2
    some = redis.call('ZRANGE', top, from, from + 19, 'WITHSCORES')
  end
end
-- the number to begin next in q: lowest score first
local function next_of(q, code)
  local s = spec_of('q:' .. q)
  if s and not room('q:' .. q, s) then return nil end
  local side, z, t, key = 'r', first_of('r', q, code)
  if open_to_all(q) then
    local other, procedure, its_key = first_of('q', q, code)
    if other and not (z and z < other) then side, t, key = 'q', procedure, its_key end
  end
  if not t then return nil end
  local line = T .. 'line:' .. side .. ' ' .. q .. ' ' .. t .. (key ~= '' and ' ' .. key or '')
  local n = redis.call('ZPOPMIN', line)[1]
  rerank(side, q, t, key)
  return n
end
-- up to k messages of q for e into out; false when it closed LOOKS lines and looked no further (ask again). A loop begins
-- all of them at once, so it takes several whatever they are.
local function claim(e, q, code, k, out, loop)
  CLOSED = 0
  while #out < k do
    local n = next_of(q, code)
    if not n then return CLOSED < LOOKS end
    local m = message(n)
    if m[2] ~= '' then
      out[#out + 1] = take(n, e, m)
      -- only those of batch=True are claimed in numbers
      if not (loop or string.find(m[10], 'B', 1, true)) then return true end
    end
  end
  return true
end
