-- include: prefix
-- flags: allow-oom
-- emptied: the storage of the last, cleanly ended epoch is gone. Keys: server. ARGV: epoch. Answer: 1
if redis.call('HGET', T .. 'server', 'epoch') == ARGV[1] then redis.call('HSET', T .. 'server', 'emptying', '0') end
return 1
