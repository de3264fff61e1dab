-- include: prefix
-- flags: allow-oom
-- backup_begin: begin a backup, one at a time in the cluster. One whose holder is dead is handed to whoever comes: it is
-- his then, and to be brought to its end before he begins his own. A date of the schedule begins one backup. Without a
-- name for the run none is begun: who comes so looks only for one that was left.
-- Keys: backup, backup:run, live.
-- ARGV: holder, run, process (0: none), date of the schedule (ms, 0: none), then field, value … of the run
-- Answer: {new} | {busy, process, since_ms} | {left, field, value …} | {served} | {none}
local e, run, date = ARGV[1], ARGV[2], tonumber(ARGV[4])
local no = guard(e) if no then return no end
local k = T .. 'backup:run'
local has = redis.call('HMGET', k, 'run', 'o', 'n', 'since')
if has[1] then
  if has[1] == run and has[2] == e then return {'new'} end
  if has[2] ~= e and not fenced(has[2]) then return {'busy', tonumber(has[3]), tonumber(has[4])} end
  redis.call('HSET', k, 'o', e)
  return {'left', unpack(redis.call('HGETALL', k))}
end
if run == '' then return {'none'} end
if date > 0 then
  if date <= tonumber(redis.call('HGET', T .. 'backup', 'served') or 0) then return {'served'} end
  redis.call('HSET', T .. 'backup', 'served', ARGV[4])
end
redis.call('HSET', k, 'run', run, 'o', e, 'n', ARGV[3], 'since', now(), unpack(ARGV, 5))
return {'new'}
