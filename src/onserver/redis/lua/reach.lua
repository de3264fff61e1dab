-- include: prefix
-- flags: allow-oom
-- reach: its holder says how far what was asked of a process has come. Keys: p:N.
-- ARGV: holder, number, state or '' (as it is; 'resumed': as before its pause), why, level or '' (as it is)
-- Answer: 1, or 0 when it holds it no longer
local no = guard(ARGV[1]) if no then return no end
local k = T .. 'p:' .. ARGV[2]
if redis.call('HGET', k, 'o') ~= ARGV[1] then return 0 end
local v = redis.call('HMGET', k, 's', 'why', 'ps', 'pw')
if ARGV[3] == 'resumed' then
  if v[1] == 'paused' then redis.call('HSET', k, 's', v[3] or 'running', 'why', v[4] or '') end
  redis.call('HDEL', k, 'ps', 'pw')
elseif ARGV[3] ~= '' then
  if v[1] ~= ARGV[3] then redis.call('HSET', k, 'ps', v[1], 'pw', v[2] or '') end
  redis.call('HSET', k, 's', ARGV[3], 'why', ARGV[4])
end
if ARGV[5] ~= '' then redis.call('HSET', k, 'lv', ARGV[5]) end
return 1
