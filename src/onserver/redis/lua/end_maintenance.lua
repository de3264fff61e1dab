-- include: prefix once reopen_server
-- flags: allow-oom
-- end_maintenance: take new work again. Keys: server, turns, orders of the leader, once:NONCE. ARGV: nonce, who asks
-- Answer: 1, or 0 when there was no maintenance
local kept = answered(ARGV[1])
if kept then return kept end
return answer(ARGV[1], reopen_server(ARGV[2]))
