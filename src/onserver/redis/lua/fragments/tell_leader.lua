-- the leader looks at the timetable at once
local function tell_leader(order)
  local leader = redis.call('HGET', T .. 'server', 'leader')
  if leader and redis.call('ZSCORE', T .. 'members', leader) then   -- who is dead reads no more
    redis.call('RPUSH', T .. 'orders:' .. leader, order)
    redis.call('LTRIM', T .. 'orders:' .. leader, -1000, -1)
  end
end
