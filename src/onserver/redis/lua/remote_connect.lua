-- include: prefix remote
-- late: closed maintenance
-- late: rejected maintenance
-- flags: allow-oom
-- remote_connect: one more connection of a remote client, which hooks are to accept. Keys: s:ID, rc:ID, numbers, server.
-- ARGV: id, id of the call that asks the hooks, name, how many there may be
-- Answer: {number of the connection, of the user, 1 when it is open}; of the same call it is the same one
local id = ARGV[1]
local no = unusable(id) if no then return no end
local user = tonumber(redis.call('HGET', T .. 's:' .. id, 'number'))
local all = redis.call('HGETALL', T .. 'rc:' .. id)
for i = 1, #all, 2 do
  local state, _, call = string.match(all[i + 1], '^(%S+) (%S+) (%S+)')
  if call == ARGV[2] then return {tonumber(all[i]), user, state == 'open' and 1 or 0} end
end
no = closed('') or rejected() if no then return no end
if #all / 2 >= tonumber(ARGV[4]) then
  return redis.error_reply('ONS 4113 this client has ' .. #all / 2 .. ' connections already')
end
local n = redis.call('HINCRBY', T .. 'numbers', 'connection', 1)
set_connection(id, n, 'opening', stamp(), ARGV[2], ARGV[3])
return {n, user, 0}
