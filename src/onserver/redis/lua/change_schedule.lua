-- include: prefix tell_leader story
-- change_schedule: let a schedule that was added say something else. Its pause stays; with other times it begins now.
-- Keys: schedules, schedule:NAME, starts:NAME, orders of the leader.
-- ARGV: name, what it is (values), its times in words, its signature. Answer: 1, 0 when a code declares it, -1 when there
-- is none
local k = T .. 'schedule:' .. ARGV[1]
if redis.call('SISMEMBER', T .. 'schedules', ARGV[1]) == 0 then return -1 end
local v = redis.call('HMGET', k, 'codes', 'times')
if v[1] ~= '+' then return 0 end
redis.call('HSET', k, 'what', ARGV[2], 'times', ARGV[3], 'c', ARGV[4])
if v[2] ~= ARGV[3] then
  redis.call('HSET', k, 'last', now())
  story(ARGV[1], 't')
end
tell_leader('schedule')
return 1
