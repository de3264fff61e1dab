-- include: prefix crew
-- flags: allow-oom
-- fail_epoch: a start-up hook failed: no worker of this start may stay. Keys: server, failure:EPOCH (one day), workers, orders:M.
-- ARGV: epoch, failure (bytes of the error value). Answer: the state
local s = T .. 'server'
if redis.call('HGET', s, 'epoch') == ARGV[1] and redis.call('HGET', s, 'state') == 'starting' then
  redis.call('HSET', s, 'state', 'failed')
  redis.call('SET', T .. 'failure:' .. ARGV[1], ARGV[2], 'EX', 86400)
  order_all('failed')
end
return redis.call('HGET', s, 'state')
