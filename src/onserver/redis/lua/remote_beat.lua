-- include: prefix remote
-- flags: allow-oom
-- remote_beat: a client is there: it is awake, and waits for events.
-- Keys: s:ID, sessions, sm:ID, re:ID, rw:ID, rc:ID, server.
-- ARGV: id, ms that it lasts unheard, number of the last event that it has, "CLIENT TOKEN" to be told of the next or '',
--       1 it is awake, 0 of a wait that has begun before it may have gone to sleep
-- Answer: {state of the server, state of the session, why it ends, event, …}, as in the fragment `remote`
local id = ARGV[1]
local v = redis.call('HMGET', T .. 's:' .. id, 'kind', 'until', 'state', 'why', 'heard', 'beat')
if v[1] ~= 'remote' or not lasts(v[2]) then return redis.error_reply('ONS 4102 ' .. id) end
local closing = v[3] == 'closing'
local awake = ARGV[5] == '1' or v[3] == 'active'
if awake and not closing and (v[3] ~= 'active' or now() - v[5] > v[6] / 2) then   -- one that waits asks oftener
  redis.call('HSET', T .. 's:' .. id, 'heard', stamp(), 'seen', stamp(), 'idle', ARGV[2], 'state', 'active')
  set_end(id)
end
for _, message in ipairs(redis.call('LRANGE', T .. 'sm:' .. id, 0, -1)) do post_event(id, 'message ' .. message) end
redis.call('DEL', T .. 'sm:' .. id)
local list, known, found = T .. 're:' .. id, tonumber(ARGV[3]), {}
for _, event in ipairs(redis.call('LRANGE', list, 0, -1)) do
  if tonumber(string.match(event, '^%d+')) > known then found[#found + 1] = event else redis.call('LPOP', list) end
end
local state = redis.call('HGET', T .. 'server', 'state') or 'none'
if #found == 0 and not closing and ARGV[4] ~= '' then
  redis.call('SADD', T .. 'rw:' .. id, ARGV[4])
  redis.call('EXPIRE', T .. 'rw:' .. id, 60)
end
return {state, closing and 'closing' or 'active', v[4] or '', unpack(found)}
