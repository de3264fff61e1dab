-- include: prefix
-- flags: allow-oom
-- migrate_note: how far the keys have been brought into layout N. Keys: server. ARGV: N, position. Answer: 1, or 0 when
-- that is not what is done here
if redis.call('HGET', T .. 'server', 'layout') ~= '-' .. ARGV[1] then return 0 end
redis.call('HSET', T .. 'server', 'migrated', ARGV[2])
return 1
