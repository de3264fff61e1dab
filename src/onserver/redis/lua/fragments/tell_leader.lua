-- The leader looks at once what there is to do: `due` or `schedule`. One that has gone is told nothing; its heir looks.
local function tell_leader(order)
  local leader = redis.call('HGET', T .. 'server', 'leader')
  if leader and redis.call('ZSCORE', T .. 'members', leader) then
    redis.call('RPUSH', T .. 'orders:' .. leader, order)
    redis.call('LTRIM', T .. 'orders:' .. leader, -1000, -1)
  end
end
