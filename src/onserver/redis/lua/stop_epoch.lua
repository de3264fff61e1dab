-- include: prefix crew
-- flags: allow-oom
-- stop_epoch: somebody asked for the end of the server. Keys: server, workers, orders:M.
-- ARGV: grace_ms or ''. Answer: {state, workers}
local s = T .. 'server'
local state = redis.call('HGET', s, 'state') or 'none'
local workers = redis.call('SCARD', T .. 'workers')
if workers > 0 and (state == 'running' or state == 'starting') then
  state = 'stopping'
  redis.call('HSET', s, 'state', state)
  if ARGV[1] ~= '' then redis.call('HSET', s, 'grace_ms', ARGV[1]) end
  order_all('stop')
  wake_all()
end
return {state, workers}
