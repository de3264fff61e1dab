-- include: prefix crew session
-- flags: allow-oom
-- open_epoch: a worker that has joined opens a new epoch, or joins the one that is. Keys: server, workers, s:ID.
-- ARGV: member, id of the new epoch's session, storage.keep 0 or 1, then field, value … of that session
-- Answer: {opened, joined or wait (it is stopping), epoch, previous, session, emptying 0 or 1, state}
-- A start that failed, or was killed before it ended, was no life: the next one sees the same previous end.
local m, s = ARGV[1], T .. 'server'
if not redis.call('ZSCORE', T .. 'members', m) then return redis.error_reply('FENCED ' .. m) end
local v = redis.call('HMGET', s, 'epoch', 'state', 'previous', 'session', 'emptying', 'restored', 'epoch_floor')
local state, how = v[2] or 'none', 'joined'
local alive = state == 'starting' or state == 'running' or state == 'stopping'
if alive and others(m) > 0 then
  if state == 'stopping' then how = 'wait' else redis.call('SADD', T .. 'workers', m) end
  return {how, tonumber(v[1]), v[3], v[4], tonumber(v[5] or 0), state}
end
local previous = v[3] or 'none'
if state == 'stopped' then previous = 'clean' end
if state == 'running' or state == 'stopping' then previous = 'crashed' end
if v[6] then previous = 'restored' end   -- whatever was before: its storage is to be there
local empty = (previous == 'clean' and ARGV[3] == '0') and 1 or 0
if tonumber(v[7] or 0) > tonumber(v[1] or 0) then redis.call('HSET', s, 'epoch', v[7]) end
local epoch = redis.call('HINCRBY', s, 'epoch', 1)
redis.call('HSET', s, 'state', 'starting', 'previous', previous, 'session', ARGV[2], 'emptying', empty, 'opened', now())
redis.call('HDEL', s, 'closing', 'grace_ms', 'restored', 'epoch_floor')
redis.call('DEL', T .. 'drained', T .. 'leaving')
redis.call('SADD', T .. 'workers', m)
for _, id in ipairs(redis.call('ZRANGE', T .. 'sk:storedProcedure', 0, -1)) do end_session(id) end
redis.call('HSET', T .. 's:' .. ARGV[2], 'kind', 'storedProcedure', 'space', ARGV[2], 'created', stamp(), 'seen', stamp(),
  'idle', '0', 'limit', '0', unpack(ARGV, 4))
enter(ARGV[2], 'storedProcedure', '', stamp())
return {'opened', epoch, previous, ARGV[2], empty, 'starting'}
