-- include: hold
-- Holders that wait for a hand-off.
local function codes()
  CODES = CODES or redis.call('HKEYS', T .. 'codes')
  return CODES
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
-- e waits no longer: out of the idle set of each of its queues
local function unlist(e)
  local h = redis.call('HMGET', T .. 'h:' .. e, 'queues', 'code')
  for q in string.gmatch(h[1] or '', '%S+') do redis.call('SREM', T .. 'idle:' .. q .. ':' .. h[2], e) end
end
