-- include: finish unplace
-- n ought to have begun by now: if it has not, it never does
local function expire(n, keep_failed)
  local v = redis.call('HMGET', T .. 'p:' .. n, 's', 'o', 'd', 'tr', 'v', 'ex', 'c', 'mb')
  if not v[1] or FINAL[v[1]] or v[2] or v[3] or v[4] or not v[6] then return end
  if v[8] then return end   -- of a mailbox it is a call, which whoever begins it will refuse
  if string.find(v[5] or '', 'E', 1, true) then return end   -- it has begun before
  local ok, _, signed = pcall(cmsgpack.unpack_one, v[7] or '')   -- its third word says when it was made
  local seconds = ok and type(signed) == 'table' and (tonumber(v[6]) - (signed[3] or 0)) / 1000 or 0
  unplace(n)
  give_up(n, 'failed', keep_failed, {
    type = 'ProcessTimeout', module = 'onserver.errors', message = 'it never began',
    args = {tonumber(n), seconds, '', 'expires'}, traceback = '', at_ms = now(),
  })
end
