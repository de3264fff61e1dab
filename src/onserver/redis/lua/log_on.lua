-- include: prefix log_marks
-- flags: allow-oom
-- log_on: changes of the storage are logged from here on, if they were not. Keys: journal, server. ARGV: none. Answer: 1
redis.call('HSET', T .. 'server', 'rare', '1')
if redis.call('EXISTS', T .. 'journal') == 0 then
  redis.call('XADD', T .. 'journal', '*', 'm', 'open')
  log_mark('on', 0)
end
return 1
