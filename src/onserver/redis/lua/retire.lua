-- include: prefix idle
-- flags: allow-oom
-- retire: a holder takes nothing more; what it holds it may finish. Keys: idle:QUEUE:CODE, serve:QUEUE, x:HOLDER, h:HOLDER.
-- ARGV: holder. A 'wake' message lets it look up from its waiting. Answer: how many it holds
local e = ARGV[1]
unlist(e)
for q in string.gmatch(redis.call('HGET', T .. 'h:' .. e, 'queues') or '', '%S+') do
  redis.call('SREM', T .. 'serve:' .. q, e)
end
if redis.call('SISMEMBER', T .. 'live', e) == 1 then wake(e) end
return redis.call('LLEN', T .. 'held:' .. e)
