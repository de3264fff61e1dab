-- include: tell_leader
-- The end of maintenance: 1, or 0 when there was none. The leader starts what schedules have missed, as each wants it.
local function reopen_server()
  redis.call('ZREM', T .. 'turns', 'm:')
  local was = redis.call('HDEL', T .. 'server', 'mt', 'mb', 'ma', 'mu', 'mr') > 0 and 1 or 0
  if was == 1 then tell_leader('schedule') end
  return was
end
