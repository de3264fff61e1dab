-- include: prefix offer
-- due: what has waited for its time is offered, up to 100 a call, by the leader. Keys: due, p:N, the queues of `offer`.
-- ARGV: member. Answer: ms until the next one, 0 when more are due now, -1 when none waits
if not redis.call('ZSCORE', T .. 'members', ARGV[1]) then return redis.error_reply('FENCED ' .. ARGV[1]) end
for _, n in ipairs(redis.call('ZRANGE', T .. 'due', '-inf', now(), 'BYSCORE', 'LIMIT', 0, 100)) do
  redis.call('ZREM', T .. 'due', n)
  local v = redis.call('HMGET', T .. 'p:' .. n, 'q', 'z', 't', 'x', 's')
  if v[5] == 'delayed' then
    redis.call('HSET', T .. 'p:' .. n, 's', 'queued')
    offer(n, v[1], v[2], v[3], v[4] or '')
  end
end
local first = redis.call('ZRANGE', T .. 'due', 0, 0, 'WITHSCORES')
return first[1] and math.max(0, math.ceil(tonumber(first[2]) - now())) or -1
