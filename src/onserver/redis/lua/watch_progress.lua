-- include: prefix
-- watch_progress: be told when a process is further than it was seen, or when it has ended.
-- Keys: p:N, pw:N (60 s after the last look), w:N.
-- ARGV: number, progress as it was seen ('' for none), "CLIENT TOKEN" ('' only looks)
-- Answer: {progress, value}, {state of the process that has ended, ''}, {gone, ''} for an unknown process; else nil
local n, address = ARGV[1], ARGV[3]
local v = redis.call('HMGET', T .. 'p:' .. n, 's', 'f', 'pr')
if not v[1] then return {'gone', ''} end
if v[3] and v[3] ~= ARGV[2] then return {'progress', v[3]} end
if v[2] then return {v[1], ''} end
if address ~= '' then
  redis.call('SADD', T .. 'pw:' .. n, address)
  redis.call('PEXPIRE', T .. 'pw:' .. n, 60000)
  redis.call('SADD', T .. 'w:' .. n, address)
  redis.call('EXPIRE', T .. 'w:' .. n, 86400)
  redis.call('HSET', T .. 'p:' .. n, 'w', '1')
end
return false
