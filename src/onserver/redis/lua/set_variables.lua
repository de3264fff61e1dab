-- include: prefix
-- set_variables: write variables of a process, from either side; whoever waits for one of them is told.
-- Keys: p:N, vars:N (as long as its record), vw:N. ARGV: number, then set or del, name, value of each
-- Answer: 1, or 0 when there is no such process
local n = ARGV[1]
local vars, watched = T .. 'vars:' .. n, T .. 'vw:' .. n
local left = redis.call('PTTL', T .. 'p:' .. n)
if left == -2 then return 0 end
redis.call('HSET', T .. 'p:' .. n, 'hv', '1')
local changed = {}
for i = 2, #ARGV, 3 do
  if ARGV[i] == 'set' then
    redis.call('HSET', vars, ARGV[i + 1], ARGV[i + 2])
  else
    redis.call('HDEL', vars, ARGV[i + 1])
  end
  changed[ARGV[i + 1]] = ARGV[i] .. ' ' .. ARGV[i + 2]
end
if left > 0 then redis.call('PEXPIRE', vars, left) end
local all = redis.call('HGETALL', watched)
for i = 1, #all, 2 do
  local word = changed[all[i + 1]]
  if word then
    local client, token = string.match(all[i], '^(%S+) (%S+)$')
    redis.call('PUBLISH', T .. 'c:' .. client, token .. ' ' .. n .. ' ' .. word)
    redis.call('HDEL', watched, all[i])
    redis.call('SREM', T .. 'w:' .. n, all[i])
  end
end
return 1
