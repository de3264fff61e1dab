-- include: prefix
-- flags: allow-oom
-- backup_plan: change where the scheduled backups stand, unless somebody else just did.
-- Keys: backup. ARGV: the standing that was read, the standing now. Answer: 1 changed, 0 it was another
local b = T .. 'backup'
local standing = redis.call('HGET', b, 'standing') or ''
if standing == ARGV[2] then return 1 end
if standing ~= ARGV[1] then return 0 end
redis.call('HSET', b, 'standing', ARGV[2])
return 1
