-- include: prefix
-- flags: allow-oom
-- await: be told of the end of a process, or hear at once that it has ended. Keys: p:N, w:N (one day, or until it ends).
-- ARGV: number, "CLIENT TOKEN" of the inbox. Answer: as `result`
local k = T .. 'p:' .. ARGV[1]
local v = redis.call('HMGET', k, 's', 'r', 'e', 'm', 'd', 't', 'n', 'y', 'f')
if not v[1] then return false end
if not v[9] and ARGV[2] ~= '' then
  redis.call('SADD', T .. 'w:' .. ARGV[1], ARGV[2])
  redis.call('EXPIRE', T .. 'w:' .. ARGV[1], 86400)
  redis.call('HSET', k, 'w', '1')
end
return v
