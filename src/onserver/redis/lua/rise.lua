-- include: prefix
-- flags: allow-oom
-- rise: a run sleeps no longer. Keys: live, p:N, sl:N. ARGV: holder, number, sleeper. Answer: 1
local no = guard(ARGV[1]) if no then return no end
local k, sleepers = T .. 'p:' .. ARGV[2], T .. 'sl:' .. ARGV[2]
redis.call('HDEL', sleepers, ARGV[3])
local v = redis.call('HMGET', k, 's', 'why', 'o')
if v[1] == 'waiting' and v[2] == 'sleep' and v[3] == ARGV[1] and redis.call('HLEN', sleepers) <= 1 then
  redis.call('HSET', k, 's', 'running', 'why', '')
end
return 1
