-- include: prefix
-- save_group: the results that belong together, as the result backend names them. Keys: group:GROUP.
-- ARGV: group, text, seconds that it is kept. Answer: 1
redis.call('SET', T .. 'group:' .. ARGV[1], ARGV[2], 'EX', ARGV[3])
return 1
