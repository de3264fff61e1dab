-- include: prefix
-- flags: allow-oom
-- reset_signal: a named signal is as if nobody had triggered it. Keys: sg:e:NAME. ARGV: name. Answer: 1
redis.call('HDEL', T .. 'sg:e:' .. ARGV[1], 's', 'at', 'tn')
return 1
