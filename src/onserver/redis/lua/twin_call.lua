-- include: prefix once into_box
-- late: closed maintenance
-- late: unusable remote
-- late: connection_of remote
-- twin_call: put a call of a remote client into the twin of its connection, unless it was put before; the twin's process is
-- made, or given the call, if it has none. The id of a call is the nonce of its signature. Keys: numbers, boxes, box:NAME, p:N,
-- s:ID, rc:ID, call:ID, the queues of `offer`.
-- ARGV: nonce, holder of the writer or '', made_ms, id of the session, number of the connection, id of the call, ms for which
--       its end is kept, keep_failed_s, queue, priority, field, value …
-- Answer: {how, number of the twin's process, served}; how: 1 put by this message, 0 by an earlier one, -1 by another session
local nonce, session, connection, id = ARGV[1], ARGV[4], ARGV[5], ARGV[6]
local k, box = T .. 'call:' .. id, 'remote ' .. session .. ' ' .. connection
local known = redis.call('HMGET', k, 'session', 'by', 'n')
if known[1] then
  return {known[1] ~= session and -1 or known[2] == nonce and 1 or 0, tonumber(known[3] or 0), 'ok'}
end
if ARGV[2] ~= '' then local no = guard(ARGV[2]) if no then return no end end
local no = too_old(ARGV[3]) or closed(ARGV[2]) or unusable(session) if no then return no end
local state, _, opening = connection_of(session, connection)
if state ~= 'open' and not (state == 'opening' and opening == id) then return redis.error_reply('ONS 4102 ' .. session) end
owned_in(ARGV, 11, #ARGV, id)
local m = {ARGV[9], ARGV[10], stamp(), 'ci', id}
for i = 11, #ARGV do m[#m + 1] = ARGV[i] end
local mine = redis.call('HGET', T .. 'boxes', box)
local idle = mine and redis.call('HGET', T .. 'p:' .. mine, 'mp')
redis.call('HSET', k, 'session', session, 'b', box, 'by', nonce, 's', 'queued', 'keep', ARGV[7])
local put = into_box(box, mine, idle, cmsgpack.pack(m), nil, tonumber(ARGV[8]))
redis.call('HSET', k, 'n', put[1])
return {1, put[1], put[2]}
