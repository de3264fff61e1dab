-- include: prefix crew
-- flags: allow-oom
-- run_epoch: the start-up hooks have ended well: work may begin. Keys: server, workers, m:M, x:HOLDER, idle:QUEUE:CODE.
-- ARGV: epoch. Answer: the state
local s = T .. 'server'
if redis.call('HGET', s, 'epoch') == ARGV[1] and redis.call('HGET', s, 'state') == 'starting' then
  redis.call('HSET', s, 'state', 'running')
  wake_all()
  order_all('running')
end
return redis.call('HGET', s, 'state')
