-- include: prefix
-- trim: drop the oldest of the history, up to 100 a call. Keys: ended, dead, p:N, vars:N, log:N.
-- ARGV: how many ended processes are kept, keep_s, keep_failed_s. Answer: 1 when there is more to drop
local kept, t = tonumber(ARGV[1]), now()
local oldest = t - math.max(tonumber(ARGV[2]), tonumber(ARGV[3])) * 1000
local over = redis.call('ZCARD', T .. 'ended') - kept
local gone = redis.call('ZRANGE', T .. 'ended', 0, math.min(over, 100) - 1)
if over <= 0 then gone = redis.call('ZRANGE', T .. 'ended', '-inf', oldest, 'BYSCORE', 'LIMIT', 0, 100) end
for _, n in ipairs(gone) do
  redis.call('ZREM', T .. 'ended', n)
  redis.call('ZREM', T .. 'dead', n)
  local v = redis.call('HMGET', T .. 'p:' .. n, 'f', 'u')
  if v[1] then
    redis.call('DEL', T .. 'p:' .. n, T .. 'vars:' .. n, T .. 'log:' .. n)
    if v[2] then redis.call('DEL', T .. 'id:' .. v[2]) end
  end
end
return #gone == 100 and 1 or 0
