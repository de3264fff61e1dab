-- include: lines taking
-- late: shut limits
-- late: queue_full limits
-- late: paused gates
-- Claiming: the one decision what may begin, on a holder whose code is `code`. Made wherever a process may begin.
local LOOKS = 100
local CLOSED
local function open_to_all(q)
  return server_state() == 'running' and not redis.restoring and not (PAUSES and (paused('all') or paused('q:' .. q)))
end
-- the line of one side of q whose turn it is: score, procedure, key. Lines whose limit is full are closed on the way.
-- Where there is one procedure only, its score is not asked for, unless there is something on the other side.
local function first_of(side, q, code, other)
  local top, from, page = T .. side .. ':' .. q, 0, 1
  local some = redis.call('ZRANGE', top, '0', '1', 'WITHSCORES')
  while some[1] do
    for i = 1, math.min(#some, 2 * page), 2 do
      local member, score, following = some[i], some[i + 1], some[i + 3]
      if score == 'inf' then return nil end
      local t, key, first = member, '', score
      local keyed = string.sub(member, -2) == ' *'
      if keyed then t = string.sub(member, 1, -3) end
      if has(code, t) and (side == 'r' or not (PAUSES and paused('p:' .. t))) then
        local name = side .. ' ' .. q .. ' ' .. t
        if keyed then
          key, first = first_key(name)
          if key and first ~= score then redis.call('ZADD', top, first, member) end
        elseif following or other then
          first = exact(top, member, score, T .. 'line:' .. name)
        end
        if not first then
          drop_entry(side, q, member)
        elseif not key then
          redis.call('ZADD', top, 'inf', member)
        elseif not following or tonumber(first) <= tonumber(following) then
          if not (LIMITED and shut(side, q, t, key)) then return tonumber(first), t, key end
          CLOSED = CLOSED + 1
          if CLOSED >= LOOKS then return nil end
        end
        return first_of(side, q, code, other)   -- what was found is right now
      end
    end
    from, page = from + page, 20
    some = redis.call('ZRANGE', top, from, from + page, 'WITHSCORES')
  end
end
-- the number to begin next in q: lowest score first
local function next_of(q, code)
  if LIMITED and queue_full(q) then return nil end
  local side, z, t, key = 'r', nil, nil, nil
  if ROOTS ~= false then z, t, key = first_of('r', q, code, true) end
  if open_to_all(q) then
    local its, procedure, its_key = first_of('q', q, code, z)
    if its and not (z and z < its) then side, t, key = 'q', procedure, its_key end
  end
  if not t and ROOTS == false then z, t, key = first_of('r', q, code, true) end
  if not t then return nil end
  local n = redis.call('ZPOPMIN', T .. 'line:' .. side .. ' ' .. q .. ' ' .. t .. (key ~= '' and ' ' .. key or ''))[1]
  if n then return n end
  drop_entry(side, q, t)
  return next_of(q, code)
end
-- up to k messages of q for e into out; false when it closed LOOKS lines and looked no further (ask again). A loop begins
-- all of them at once, so it takes several whatever they are.
local function claim(e, q, code, k, out, loop)
  if not STATE then look() end
  CLOSED = 0
  while #out < k do
    local n = next_of(q, code)
    if not n then return CLOSED < LOOKS end
    local m = message(n)
    if m[2] ~= '' then
      out[#out + 1] = take(n, e, m)
      -- only those of batch=True are claimed in numbers
      if not (loop or string.find(m[8], 'B', 1, true)) then return true end
    end
  end
  return true
end
