-- include: prefix
-- flags: allow-oom
-- chord_close: the callback of a chord was sent, or can never be. What is left for 5 minutes tells late copies so.
-- Keys: chord:GROUP. ARGV: group. Answer: 1
local k = T .. 'chord:' .. ARGV[1]
redis.call('DEL', k)
redis.call('HSET', k, 'sent', '1')
redis.call('EXPIRE', k, 300)
return 1
