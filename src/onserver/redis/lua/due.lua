-- include: prefix offer duties serving expire
-- late: reopen_server reopen_server
-- flags: allow-oom
-- due: what has waited for its time is offered, up to 100 a call, by the leader; limits whose turn has come are opened,
-- pauses and maintenance that are over end, and what ought to have begun by now never does.
-- Keys: due, turns, paused, server, p:N, the queues of `offer`.
-- ARGV: member, keep_failed_s. Answer: ms until the next of these, 0 when more are due now, -1 when none waits
if not redis.call('ZSCORE', T .. 'members', ARGV[1]) then return redis.error_reply('FENCED ' .. ARGV[1]) end
if redis.restoring then return 1000 end
for _, what in ipairs(redis.call('ZRANGE', T .. 'turns', '-inf', now(), 'BYSCORE', 'LIMIT', 0, 100)) do
  redis.call('ZREM', T .. 'turns', what)
  local kind, name = string.match(what, '^(%a):(.*)$')
  if kind == 'l' then reopen(name)
  elseif kind == 'e' then expire(name, tonumber(ARGV[2]))
  elseif kind == 'm' then reopen_server('')
  else open_gate(name) end
end
for _, n in ipairs(redis.call('ZRANGE', T .. 'due', '-inf', now(), 'BYSCORE', 'LIMIT', 0, 100)) do
  redis.call('ZREM', T .. 'due', n)
  local v = redis.call('HMGET', T .. 'p:' .. n, 'q', 'z', 't', 'x', 's')
  if v[5] == 'delayed' then
    redis.call('HSET', T .. 'p:' .. n, 's', 'queued', 'qs', now())
    offer(n, v[1], v[2], v[3], v[4] or '')
  end
end
return due_in()
