-- include: prefix once
-- flags: allow-oom
-- reject_connections: take no new connections of remote clients, or take them again. Keys: server, once:NONCE.
-- ARGV: nonce, who asks; '' to take them again. Answer: 1 when they were rejected before, else 0
local kept = answered(ARGV[1])
if kept then return kept end
local was = redis.call('HEXISTS', T .. 'server', 'rj')
if ARGV[2] == '' then redis.call('HDEL', T .. 'server', 'rj') else redis.call('HSET', T .. 'server', 'rj', ARGV[2]) end
return answer(ARGV[1], was)
