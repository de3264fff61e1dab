-- include: prefix once turns
-- flags: allow-oom
-- shut_gate: pause a queue, a procedure or everything, until somebody resumes it or the time is over.
-- Keys: paused, server, turns, once:NONCE. ARGV: nonce, gate (all, q:QUEUE, p:PROCEDURE), who asks, for how many ms or ''
-- Answer: {at ms, until ms or 0, who}, as it is now
local kept = answered(ARGV[1])
if kept then return kept end
local gate, by = ARGV[2], ARGV[3]
local till = ARGV[4] == '' and 0 or now() + tonumber(ARGV[4])
redis.call('HSET', T .. 'paused', gate, string.format('%.0f %.0f ', now(), till) .. by)
redis.call('HSET', T .. 'server', 'pauses', '1')
redis.call('ZREM', T .. 'turns', 'g:' .. gate)
if till > 0 then turn(till, 'g:' .. gate) end
return answer(ARGV[1], {now(), till, by})
