-- include: prefix
-- flags: allow-oom
-- migrate_end: the keys of this server are in layout N. Keys: server. ARGV: N. Answer: 1, or 0 when that is not what is
-- done here
if redis.call('HGET', T .. 'server', 'layout') ~= '-' .. ARGV[1] then return 0 end
redis.call('HSET', T .. 'server', 'layout', ARGV[1])
redis.call('HDEL', T .. 'server', 'migrated')
return 1
