-- include: prefix crew
-- flags: allow-oom
-- leaving: a worker is about to go. The last one turns the server to `stopping`, and its shutdown hooks run; a start
-- that nobody is left to finish was no life. Keys: server, workers, leaving. ARGV: member. Answer: the state
local m, s = ARGV[1], T .. 'server'
redis.call('SADD', T .. 'leaving', m)
local state = redis.call('HGET', s, 'state') or 'none'
local staying = redis.call('SCARD', T .. 'workers') - redis.call('SCARD', T .. 'leaving')
if staying <= 0 and (state == 'running' or state == 'starting') then
  state = state == 'running' and 'stopping' or 'failed'
  redis.call('HSET', s, 'state', state)
end
return state
