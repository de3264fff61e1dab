-- include: prefix
-- flags: allow-oom
-- migrate_begin: the keys of this server are brought into layout N from now on, and nobody works with them meanwhile.
-- Keys: server, members. ARGV: N. Answer: {how many members there are: then nothing was begun, position to go on from}
local s, to = T .. 'server', tonumber(ARGV[1])
local layout = tonumber(redis.call('HGET', s, 'layout') or 0)
if layout == -to then return {0, redis.call('HGET', s, 'migrated') or ''} end
if layout ~= to - 1 then return redis.error_reply('ONS 1205 ' .. layout) end
local members = redis.call('ZCARD', T .. 'members')
if members == 0 then redis.call('HSET', s, 'layout', -to, 'migrated', '') end
return {members, ''}
