-- include: prefix
-- flags: allow-oom
-- backup_note: put down how far a backup is. Keys: backup:run, live. ARGV: holder, run, field, value …
-- Answer: 1, or the refusal of a holder whose backup it is no longer
local no = guard(ARGV[1]) if no then return no end
local k = T .. 'backup:run'
local has = redis.call('HMGET', k, 'run', 'o')
if has[1] ~= ARGV[2] or has[2] ~= ARGV[1] then return redis.error_reply('FENCED ' .. ARGV[1]) end
redis.call('HSET', k, unpack(ARGV, 3))
return 1
