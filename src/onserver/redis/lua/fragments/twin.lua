-- Twins: the mailboxes of remote clients, whose calls are answered. Each has an id that its client made, runs once however
-- often it is sent, and leaves how it ended.
--   T .. call:ID  hash  session, b the box, by the nonce with which it came, s 'queued' or how it ended, n the process that
--                       worked it off, r its result or error, keep ms that this is kept then
--   T .. cw:ID    set   "CLIENT TOKEN" of those who wait for its end
-- Of the process that works it off, the record has ci, its id.
local function end_call(id, n, state, payload)
  local k = T .. 'call:' .. id
  local v = redis.call('HMGET', k, 's', 'keep')
  if v[1] ~= 'queued' then return end
  redis.call('HSET', k, 's', state, 'n', n, 'r', payload)
  redis.call('PEXPIRE', k, v[2])
  for _, to in ipairs(redis.call('SMEMBERS', T .. 'cw:' .. id)) do
    local client, token = string.match(to, '^(%S+) (%S+)$')
    redis.call('PUBLISH', T .. 'c:' .. client, token .. ' ' .. n .. ' ' .. state .. ' ' .. payload)
  end
  redis.call('DEL', T .. 'cw:' .. id)
end
-- the call that n works off, if it is one of a twin, has ended
local function answer_call(n, state, payload)
  local id = redis.call('HGET', T .. 'p:' .. n, 'ci')
  if not id then return end
  redis.call('HDEL', T .. 'p:' .. n, 'ci')
  end_call(id, n, state, payload)
end
-- a call, packed as in its box, never runs
local function end_waiting(call, n, state, payload)
  local m = cmsgpack.unpack(call)
  for i = 4, #m, 2 do
    if m[i] == 'ci' then end_call(m[i + 1], n, state, payload) end
  end
end
-- what people see of a twin: the name of the connection, for the id of its session is a secret of its client
local function twin_name(session, connection)
  local name = string.match(redis.call('HGET', T .. 'rc:' .. session, connection) or '', '^%S+ %S+ %S+ (.+)$')
  return name or 'connection ' .. connection
end
