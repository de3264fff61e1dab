-- include: prefix
-- flags: allow-oom
-- wait_over: a run waits for the other process no longer. Keys: waits, p:N. ARGV: owner (m.e/N.d). Answer: 1
local holder, n = string.match(ARGV[1], '^([^/]+)/(%d+)%.')
local no = guard(holder) if no then return no end
redis.call('HDEL', T .. 'waits', ARGV[1])
local s = redis.call('HMGET', T .. 'p:' .. n, 's', 'o')
if s[1] == 'waiting' and s[2] == holder then redis.call('HSET', T .. 'p:' .. n, 's', 'running', 'why', '') end
return 1
