-- include: finish unplace
-- n ought to have begun by now: if it has not, it never does
local function expire(n, keep_failed)
  local v = redis.call('HMGET', T .. 'p:' .. n, 's', 'o', 'd', 'tr', 'v', 'ex', 'a')
  if not v[1] or FINAL[v[1]] or v[2] or v[3] or v[4] or not v[6] then return end
  if string.find(v[5] or '', 'E', 1, true) then return end   -- it has begun before
  local seconds = math.floor((tonumber(v[6]) - tonumber(v[7])) / 10 + 0.5) / 100
  unplace(n)
  give_up(n, 'failed', keep_failed, {
    type = 'ProcessTimeout', module = 'onserver.errors', message = 'it never began',
    args = {tonumber(n), seconds, '', 'expires'}, traceback = '', at_ms = now(),
  })
end
