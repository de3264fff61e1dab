-- include: prefix tell_leader story
-- plan: say which schedules a code has. One that is new, or has other times than before, begins now; one that no code
-- has any more, of those that are alive, is taken out, and its last time kept for 30 days. One that was added (its code is
-- '+') stays until a code declares it.
-- Keys: schedules, schedule:NAME, starts:NAME, codes, orders of the leader.
-- ARGV: code, then name, what it is (values), its times in words, its signature for each.
-- Answer: how many there are now
local mine = {}
for i = 2, #ARGV, 4 do
  local k = T .. 'schedule:' .. ARGV[i]
  mine[ARGV[i]] = true
  if redis.call('HGET', k, 'times') ~= ARGV[i + 2] then
    redis.call('HSET', k, 'times', ARGV[i + 2], 'last', now())
    story(ARGV[i], 't')
  end
  redis.call('HSET', k, 'what', ARGV[i + 1], 'c', ARGV[i + 3])
  redis.call('PERSIST', k)
  redis.call('PERSIST', T .. 'starts:' .. ARGV[i])
  redis.call('SADD', T .. 'schedules', ARGV[i])
end
for _, name in ipairs(redis.call('SMEMBERS', T .. 'schedules')) do
  local k, codes = T .. 'schedule:' .. name, {}
  for code in string.gmatch(redis.call('HGET', k, 'codes') or '', '%S+') do
    local alive = code ~= ARGV[1] and redis.call('HEXISTS', T .. 'codes', code) == 1
    if alive or (code == '+' and not mine[name]) then codes[#codes + 1] = code end
  end
  if mine[name] then codes[#codes + 1] = ARGV[1] end
  redis.call('HSET', k, 'codes', table.concat(codes, ' '))
  if #codes == 0 then
    redis.call('SREM', T .. 'schedules', name)
    redis.call('EXPIRE', k, 2592000)
    redis.call('EXPIRE', T .. 'starts:' .. name, 2592000)
  end
end
tell_leader('schedule')
return redis.call('SCARD', T .. 'schedules')
