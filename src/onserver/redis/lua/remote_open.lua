-- include: prefix once remote
-- late: closed maintenance
-- late: rejected maintenance
-- flags: allow-oom
-- remote_open: open the session of a remote client. Keys: s:ID, server, numbers, sessions, sk:remote, su:LOGIN, once:NONCE.
-- ARGV: nonce of the client, id, key of the user who logged in ('' none), ms that it lasts unheard, ms between beats, then
--       field, value …
-- Answer: {id, field, value, …} of the record; asked again with the nonce, of the one that was opened first
local id = answered(ARGV[1])
if not id then
  local no = closed('') or rejected() if no then return no end
  sweep(20)
  emptied()
  id = answer(ARGV[1], ARGV[2])
  local number = redis.call('HINCRBY', T .. 'numbers', 'user', 1)
  redis.call('HSET', T .. 's:' .. id, 'kind', 'remote', 'space', id, 'created', stamp(), 'seen', stamp(), 'heard', stamp(),
    'idle', ARGV[4], 'limit', '0', 'beat', ARGV[5], 'number', number, 'state', 'active')
  if ARGV[3] ~= '' then redis.call('HSET', T .. 's:' .. id, 'login', ARGV[3]) end
  for i = 6, #ARGV, 2 do redis.call('HSET', T .. 's:' .. id, ARGV[i], ARGV[i + 1]) end
  enter(id, 'remote', ARGV[3], stamp())
end
local no = unusable(id) if no then return no end
local found = told(id)
table.insert(found, 1, id)
return found
