-- include: prefix once serving
-- open_gate: end a pause of a queue, a procedure or everything. Keys: paused, server, turns, once:NONCE, and those of
-- `offer`: what waited is handed to idle executors at once. ARGV: nonce, gate. Answer: 1 when it was paused
local kept = answered(ARGV[1])
if kept then return kept end
local was = redis.call('HEXISTS', T .. 'paused', ARGV[2])
if was == 1 then open_gate(ARGV[2]) end
return answer(ARGV[1], was)
