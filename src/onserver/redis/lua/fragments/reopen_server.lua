-- include: tell_leader event
-- The end of maintenance: 1, or 0 when there was none. The leader starts what schedules have missed, as each wants it.
-- by: who ends it, '' for its time
local function reopen_server(by)
  redis.call('ZREM', T .. 'turns', 'm:')
  if redis.call('HDEL', T .. 'server', 'mt', 'mb', 'ma', 'mu', 'mr') == 0 then return 0 end
  note_event(142, 'maintenance.off', cmsgpack.pack({by = by}), 0, '')
  tell_leader('schedule')
  return 1
end
