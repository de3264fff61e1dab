-- include: prefix locks
-- flags: allow-oom
-- leave_line: stop waiting for a lock, unless it has come meanwhile. Keys: those of lock.
-- ARGV: space, key, ticket
-- Answer: {left}, or {yours, …} as lock gives it
local name = ARGV[1] .. 'l:' .. ARGV[2]
if redis.call('HGET', T .. name, 't') == of_ticket(ARGV[3]) then
  redis.call('DEL', T .. 'wake:' .. of_ticket(ARGV[3]))
  return yours(name)
end
leave_line(name, ARGV[3])
return {'left'}
