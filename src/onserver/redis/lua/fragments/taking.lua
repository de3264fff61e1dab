-- include: hold
-- late: occupy limits
-- n is held by e from here on, before its message travels
local function take(n, e, m)
  m = m or message(n)
  local slots = LIMITED and occupy(n, m[5], m[2], m[19]) or ''
  if slots == '' then
    redis.call('HSET', T .. 'p:' .. n, 's', 'running', 'o', e, 'g', stamp())
  else
    redis.call('HSET', T .. 'p:' .. n, 's', 'running', 'o', e, 'g', stamp(), 'ls', slots)
  end
  redis.call('RPUSH', T .. 'held:' .. e, n)
  return m
end
