-- include: prefix once serving
-- late: names_now gates
-- flags: allow-oom
-- open_gate: end a pause of a queue, a procedure (under whatever name) or everything. Keys: paused, aliases, server, turns,
-- once:NONCE, and those of `offer`: what waited is handed to idle executors at once. ARGV: nonce, gate
-- Answer: 1 when it was paused
local kept = answered(ARGV[1])
if kept then return kept end
local names, was = names_now(), 0
for _, gate in ipairs(redis.call('HKEYS', T .. 'paused')) do
  if (names[gate] or gate) == (names[ARGV[2]] or ARGV[2]) then
    open_gate(gate)
    was = 1
  end
end
return answer(ARGV[1], was)
