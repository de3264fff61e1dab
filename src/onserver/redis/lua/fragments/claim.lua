-- Claiming from the queues of one holder.
local LOOKS = 100
-- the exceptions of q: processes of hooks, and those whose procedure not every worker has. Few; mostly none.
local function heads(q, code)
  local found = {}
  for _, s in ipairs(redis.call('SMEMBERS', T .. 'special:' .. q)) do
    local k
    if s == 'root' then
      local first = redis.call('ZRANGE', T .. 'r:' .. q, 0, 0)[1]
      if not first or has(code, redis.call('HGET', T .. 'p:' .. first, 't') or '') then k = T .. 'r:' .. q end
    elseif server_state() == 'running' then
      local t = string.sub(s, 3)
      if redis.call('SISMEMBER', T .. 'code:' .. code, t) == 1 then k = T .. 'parked:' .. q .. ':' .. t end
    end
    if k then found[#found + 1] = {k, s} end
  end
  return found
end
-- the number to look at next in q, lowest score first; of those that do not wait apart a loop takes what it can run,
-- and leaves what others will
local function next_of(q, special, code, loop)
  local best, from = nil, nil
  for _, s in ipairs(special) do
    local head = redis.call('ZRANGE', s[1], 0, 0, 'WITHSCORES')
    if not head[1] then
      redis.call('SREM', T .. 'special:' .. q, s[2])
    elseif not best or tonumber(head[2]) < best then
      best, from = tonumber(head[2]), s[1]
    end
  end
  if server_state() == 'running' then
    local main = T .. 'q:' .. q
    if not from and not loop then return redis.call('ZPOPMIN', main)[1] end
    local head = redis.call('ZRANGE', main, 0, 0, 'WITHSCORES')
    if head[1] and (not best or tonumber(head[2]) < best) then
      if not loop or has(code, redis.call('HGET', T .. 'p:' .. head[1], 't') or '') then from = main end
    end
  end
  return from and redis.call('ZPOPMIN', from)[1]
end
-- up to k messages of q for e into out; false when it looked at LOOKS that others must run (ask again). A loop begins
-- all of them at once, so it takes several whatever they are.
local function claim(e, q, code, k, out, loop)
  local special = redis.call('SCARD', T .. 'special:' .. q) > 0 and heads(q, code) or {}
  for _ = 1, LOOKS do
    if #out >= k then return true end
    local n = next_of(q, special, code, loop)
    if not n then return true end
    local m = message(n)
    if m[2] ~= '' then
      if admit(m[2], m[8], code) then
        out[#out + 1] = take(n, e, m)
        -- only those of batch=True are claimed in numbers
        if not (loop or string.find(m[10], 'B', 1, true)) then return true end
      else
        offer(n, q, m[12], m[2], m[8], not has(code, m[2]))
      end
    end
  end
  return false
end
