-- include: prefix
-- flags: allow-oom
-- sleep: a run goes to sleep, or looks whether it still may. Keys: live, p:N, sl:N (a minute longer than it sleeps).
-- sl:N has 'SERIAL UNTIL ADDRESS' for each sleeper: each change of its time has another serial; until 0: it is woken.
-- ARGV: holder, number, sleeper, serial that it has seen, "CLIENT TOKEN", ms to sleep
-- Answer: {moved, 'SERIAL MS'} when somebody has changed its time (0 ms: has woken it), or nil when it sleeps
local no = guard(ARGV[1]) if no then return no end
local k, sleepers, left = T .. 'p:' .. ARGV[2], T .. 'sl:' .. ARGV[2], tonumber(ARGV[6])
local serial, at = string.match(redis.call('HGET', sleepers, ARGV[3]) or '', '^(%d+) (%d+)')
if serial and tonumber(serial) > tonumber(ARGV[4]) then
  return {'moved', serial .. ' ' .. string.format('%.0f', math.max(0, tonumber(at) - now()))}
end
if redis.call('HGET', sleepers, 'by') ~= ARGV[1] then   -- what slept in an earlier run sleeps no longer
  redis.call('DEL', sleepers)
  redis.call('HSET', sleepers, 'by', ARGV[1])
end
redis.call('HSET', sleepers, ARGV[3], string.format('%s %.0f %s', ARGV[4], now() + left, ARGV[5]))
if redis.call('PTTL', sleepers) < left + 60000 then redis.call('PEXPIRE', sleepers, left + 60000) end
local v = redis.call('HMGET', k, 's', 'o')
if v[1] == 'running' and v[2] == ARGV[1] then redis.call('HSET', k, 's', 'waiting', 'why', 'sleep') end
return false
