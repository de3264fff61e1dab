-- include: prefix once turns event
-- flags: allow-oom
-- begin_maintenance: take no new work, until somebody ends it or the time is over. Said again, it replaces what was said.
-- Keys: server, turns, events, once:NONCE.
-- ARGV: nonce, message, who asks, for how many ms or '', 1 to reject new connections too. Answer: {at ms, until ms or 0}
local kept = answered(ARGV[1])
if kept then return kept end
local at = string.format('%.0f', now())
local till = ARGV[4] == '' and '0' or string.format('%.0f', now() + tonumber(ARGV[4]))
redis.call('HSET', T .. 'server', 'mt', ARGV[2], 'mb', ARGV[3], 'ma', at, 'mu', till, 'mr', ARGV[5])
redis.call('ZREM', T .. 'turns', 'm:')
if till ~= '0' then turn(tonumber(till), 'm:') end
local payload = cmsgpack.pack({message = ARGV[2], by = ARGV[3], until_ms = tonumber(till)})
note_event(141, 'maintenance.on', payload, 0, '')
return answer(ARGV[1], {tonumber(at), tonumber(till)})
