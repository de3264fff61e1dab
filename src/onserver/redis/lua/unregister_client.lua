-- include: prefix once
-- flags: allow-oom
-- unregister_client: a program takes no requests any more; those that wait are dropped, the one that runs goes on.
-- Keys: clients, cq:HOLDER, cn:HOLDER, once:NONCE. ARGV: nonce, holder. Answer: 1, or 0 when it was not registered
local kept = answered(ARGV[1])
if kept then return kept end
redis.call('DEL', T .. 'cq:' .. ARGV[2], T .. 'cn:' .. ARGV[2])
return answer(ARGV[1], redis.call('HDEL', T .. 'clients', ARGV[2]))
