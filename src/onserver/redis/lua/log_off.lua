-- include: prefix
-- flags: allow-oom
-- log_off: changes of the storage are logged no more; what was not written yet is forgotten. Keys: journal. ARGV: none.
-- Answer: 1 when they were
return redis.call('DEL', T .. 'journal')
