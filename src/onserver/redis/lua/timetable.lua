-- include: prefix
-- flags: no-writes
-- timetable: the schedules that may start something: those that a code has which is alive, and those that were added.
-- Keys: schedules, schedule:NAME, codes. ARGV: the code of who asks
-- Answer: {now, {name, what it is, last time, who paused it or '', its signature} …}
local found = {now()}
for _, name in ipairs(redis.call('SMEMBERS', T .. 'schedules')) do
  local v = redis.call('HMGET', T .. 'schedule:' .. name, 'what', 'last', 'paused', 'codes', 'c')
  for code in string.gmatch(v[4] or '', '%S+') do
    if code == ARGV[1] or code == '+' or redis.call('HEXISTS', T .. 'codes', code) == 1 then
      found[#found + 1] = {name, v[1], v[2], v[3] or '', v[5] or ''}
      break
    end
  end
end
return found
