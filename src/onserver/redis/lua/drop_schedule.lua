-- include: prefix once tell_leader
-- flags: allow-oom
-- drop_schedule: take out a schedule that was added. Keys: schedules, schedule:NAME, starts:NAME, orders of the leader, once:NONCE.
-- ARGV: nonce, name. Answer: 1, 0 when a code declares it, -1 when there is none
local kept = answered(ARGV[1])
if kept then return kept end
local k = T .. 'schedule:' .. ARGV[2]
if redis.call('SISMEMBER', T .. 'schedules', ARGV[2]) == 0 then return answer(ARGV[1], -1) end
if redis.call('HGET', k, 'codes') ~= '+' then return answer(ARGV[1], 0) end
redis.call('SREM', T .. 'schedules', ARGV[2])
redis.call('DEL', k, T .. 'starts:' .. ARGV[2])
tell_leader('schedule')
return answer(ARGV[1], 1)
