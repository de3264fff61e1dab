-- include: prefix idle served
-- flags: allow-oom
-- retire: a holder takes nothing more; what it holds it may finish. Keys: idle:QUEUE:CODE, serve:QUEUE, x:HOLDER, h:HOLDER.
-- ARGV: holder. A 'wake' message lets it look up from its waiting. Answer: how many it holds
local e = ARGV[1]
unlist(e)
serve_no_more(e, redis.call('HGET', T .. 'h:' .. e, 'queues'))
if redis.call('SISMEMBER', T .. 'live', e) == 1 then wake(e) end
return redis.call('LLEN', T .. 'held:' .. e)
