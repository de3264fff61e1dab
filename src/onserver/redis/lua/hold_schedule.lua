-- include: prefix tell_leader story
-- hold_schedule: pause a schedule, or let it go on: with the times that come then, not with those of its pause.
-- Keys: schedules, schedule:NAME, starts:NAME, orders of the leader. ARGV: name, who pauses it, or '' to let it go on
-- Answer: -1 no such schedule, 0 done, 1 it was so already
local k = T .. 'schedule:' .. ARGV[1]
if redis.call('SISMEMBER', T .. 'schedules', ARGV[1]) == 0 then return -1 end
local paused = redis.call('HEXISTS', k, 'paused') == 1
if paused == (ARGV[2] ~= '') then return 1 end
if paused then
  redis.call('HDEL', k, 'paused')
  redis.call('HSET', k, 'last', now())
  story(ARGV[1], 'r')
else
  redis.call('HSET', k, 'paused', ARGV[2])
  story(ARGV[1], 'p', ARGV[2])
end
tell_leader('schedule')
return 0
