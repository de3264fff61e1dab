-- include: prefix once tell_leader story
-- add_schedule: keep a schedule that no code declares, until drop_schedule takes it out or a code declares one of its name.
-- Keys: schedules, schedule:NAME, starts:NAME, orders of the leader, once:NONCE.
-- ARGV: nonce, name, what it is (values), its times in words, its signature. Answer: 1, or 0 when there is one of that name
local kept = answered(ARGV[1])
if kept then return kept end
local k = T .. 'schedule:' .. ARGV[2]
if redis.call('SADD', T .. 'schedules', ARGV[2]) == 0 then return answer(ARGV[1], 0) end
redis.call('DEL', k, T .. 'starts:' .. ARGV[2])
redis.call('HSET', k, 'what', ARGV[3], 'times', ARGV[4], 'last', now(), 'codes', '+', 'c', ARGV[5])
story(ARGV[2], 't')
tell_leader('schedule')
return answer(ARGV[1], 1)
