-- include: prefix
-- flags: allow-oom
-- log_written: changes are in a file, up to the one named, which stays so that the stream does. Keys: journal.
-- ARGV: its id in the stream. Answer: how many are left
redis.call('XTRIM', T .. 'journal', 'MINID', ARGV[1])
return redis.call('XLEN', T .. 'journal')
