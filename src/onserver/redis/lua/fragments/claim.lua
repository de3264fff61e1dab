-- Claiming from the queues of one holder.
local LOOKS = 100
-- the exceptions of q: processes of hooks, and those whose procedure not every worker has. Few; mostly none.
local function heads(q, code)
  local found = {}
  for _, s in ipairs(redis.call('SMEMBERS', T .. 'special:' .. q)) do
    local k
    if s == 'root' then
      k = T .. 'r:' .. q
    elseif server_state() == 'running' then
      local t = string.sub(s, 3)
      if redis.call('SISMEMBER', T .. 'code:' .. code, t) == 1 then k = T .. 'parked:' .. q .. ':' .. t end
    end
    if k then found[#found + 1] = {k, s} end
  end
  return found
end
-- the number to look at next in q, lowest score first
local function next_of(q, special)
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
    if not from then return redis.call('ZPOPMIN', main)[1] end
    local head = redis.call('ZRANGE', main, 0, 0, 'WITHSCORES')
    if head[1] and tonumber(head[2]) < best then from = main end
  end
  return from and redis.call('ZPOPMIN', from)[1]
end
-- up to k messages of q for e into out; false when it looked at LOOKS that others must run (ask again)
local function claim(e, q, code, k, out)
  local special = redis.call('SCARD', T .. 'special:' .. q) > 0 and heads(q, code) or {}
  for _ = 1, LOOKS do
    if #out >= k then return true end
    local n = next_of(q, special)
    if not n then return true end
    local m = message(n)
    if m[2] ~= '' then
      if admit(m[2], m[8], code) then
        out[#out + 1] = take(n, e, m)
        if not string.find(m[10], 'B', 1, true) then return true end   -- only those of batch=True are claimed in numbers
      else
        offer(n, q, m[12], m[2], m[8])
      end
    end
  end
  return false
end
