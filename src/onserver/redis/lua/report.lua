-- include: prefix
-- report: how far a process is; whoever follows it is told, once for each time that he asked.
-- Keys: p:N, pw:N, w:N, c:CLIENT. ARGV: holder, number, progress (done, total, note, at_ms as a value)
-- Answer: 1, or 0 when the holder has the process no longer
local n = ARGV[2]
local no = guard(ARGV[1]) if no then return no end
if redis.call('HGET', T .. 'p:' .. n, 'o') ~= ARGV[1] then return 0 end
redis.call('HSET', T .. 'p:' .. n, 'pr', ARGV[3])
for _, to in ipairs(redis.call('SMEMBERS', T .. 'pw:' .. n)) do
  local client, token = string.match(to, '^(%S+) (%S+)$')
  redis.call('PUBLISH', T .. 'c:' .. client, token .. ' ' .. n .. ' progress ' .. ARGV[3])
  redis.call('SREM', T .. 'w:' .. n, to)
end
redis.call('DEL', T .. 'pw:' .. n)
return 1
