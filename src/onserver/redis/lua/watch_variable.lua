-- include: prefix
-- watch_variable: be told when a variable of a process is no longer as it was seen, or when the process has ended.
-- Keys: p:N, vars:N, vw:N (60 s after the last look), w:N.
-- ARGV: number, name, as it was seen ('set VALUE', or 'del' where there was none), "CLIENT TOKEN" ('' only looks)
-- Answer: {set, value}, {del, ''} or {state of the process that has ended, ''}; {gone, ''} for an unknown process; else nil
local n, address = ARGV[1], ARGV[4]
local v = redis.call('HMGET', T .. 'p:' .. n, 's', 'f')
if not v[1] then return {'gone', ''} end
local value = redis.call('HGET', T .. 'vars:' .. n, ARGV[2])
if value and ARGV[3] ~= 'set ' .. value then return {'set', value} end
if not value and ARGV[3] ~= 'del' then return {'del', ''} end
if v[2] then return {v[1], ''} end
if address ~= '' then
  redis.call('HSET', T .. 'vw:' .. n, address, ARGV[2])
  redis.call('PEXPIRE', T .. 'vw:' .. n, 60000)
  redis.call('SADD', T .. 'w:' .. n, address)
  redis.call('EXPIRE', T .. 'w:' .. n, 86400)
  redis.call('HSET', T .. 'p:' .. n, 'w', '1')
end
return false
