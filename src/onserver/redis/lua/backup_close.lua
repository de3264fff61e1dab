-- include: prefix
-- flags: allow-oom
-- backup_close: a backup has ended, and all were told: another one may begin.
-- Keys: backup, backup:run, live.
-- ARGV: holder, run, the standing that its end was worked out from, the standing now, then field, value … of `backup`
-- Answer: 1 closed, 0 the standing was another: it has to be worked out again
local e, run = ARGV[1], ARGV[2]
local no = guard(e) if no then return no end
local k, b = T .. 'backup:run', T .. 'backup'
local has = redis.call('HMGET', k, 'run', 'o')
if has[1] ~= run or has[2] ~= e then
  if redis.call('HGET', b, 'done') == run then return 1 end
  return redis.error_reply('FENCED ' .. e)
end
if (redis.call('HGET', b, 'standing') or '') ~= ARGV[3] then return 0 end
redis.call('HSET', b, 'standing', ARGV[4], 'done', run, unpack(ARGV, 5))
redis.call('DEL', k)
return 1
