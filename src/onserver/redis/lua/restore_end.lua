-- include: prefix restoring crew tell_leader log_marks
-- flags: allow-oom
-- restore_end: all is in its place: everybody may write again, and the times of pauses and schedules are looked at anew.
-- Keys: server, cut, paused, turns, codes, schedules, schedule:NAME, workers, journal, orders of the leader.
-- ARGV: token. Answer: 1; 0 when it had ended
if stage_of(ARGV[1]) ~= 'ending' then return 0 end
local codes = table.concat(redis.call('HKEYS', T .. 'codes'), ' ')
for _, name in ipairs(redis.call('SMEMBERS', T .. 'schedules')) do
  local k = T .. 'schedule:' .. name
  if redis.call('HGET', k, 'codes') ~= '+' then redis.call('HSET', k, 'codes', codes) end
end
redis.call('HDEL', T .. 'server', 'restoring', 'pauses')
local gates = redis.call('HGETALL', T .. 'paused')
for i = 1, #gates, 2 do
  local till = tonumber(string.match(gates[i + 1], '^%d+ (%d+)') or 0)
  if till > 0 then redis.call('ZADD', T .. 'turns', till, 'g:' .. gates[i]) end
end
if gates[1] then redis.call('HSET', T .. 'server', 'pauses', '1') end
redis.call('DEL', T .. 'cut')
log_mark('restored', 0)
wake_all()
tell_leader('due')
tell_leader('schedule')
return 1
