-- Side runs: processes for which a worker forks a child of its own, beyond its executors. They wait in queue '!once' for
-- any worker, in '!M' for member M, with a root, so that every state of the server admits them; no executor serves these
-- queues. A worker is told of one by an order; a lost one is made good by its next beat.
local function tell_side(q)
  local m = string.match(q, '^!(%d+)$') or redis.call('SRANDMEMBER', T .. 'workers')
  if m and redis.call('ZSCORE', T .. 'members', m) then
    redis.call('RPUSH', T .. 'orders:' .. m, 'side')
    redis.call('LTRIM', T .. 'orders:' .. m, -1000, -1)
  end
end
