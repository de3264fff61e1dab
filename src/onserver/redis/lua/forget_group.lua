-- include: prefix
-- flags: allow-oom
-- forget_group: what save_group has kept is not wanted any more. Keys: group:GROUP. ARGV: group. Answer: 1 if it was there
return redis.call('DEL', T .. 'group:' .. ARGV[1])
