-- include: prefix offer accept drop_sides
-- flags: allow-oom
-- late: note_of event
-- leave: a member goes in good order, after its holders are buried. The last worker of a server that is stopping, and
-- whose shutdown hooks were run, closes its epoch.
-- Keys: members, member:M, m:M, orders:M, workers, leaving, drained, server, r:!M.
-- ARGV: member, hooks run 0 or 1, keep_failed_s. Answer: {1 when it was a member, state of the server}
local m, s = ARGV[1], T .. 'server'
local worker = redis.call('SREM', T .. 'workers', m)
redis.call('SREM', T .. 'leaving', m)
redis.call('SREM', T .. 'drained', m)
local v = redis.call('HMGET', T .. 'member:' .. m, 'kind', 'node', 'host')
if v[1] == 'worker' then
  note_of(102, 'worker.left', {member = tonumber(m), worker = v[2] or '', host = v[3] or ''}, m)
end
drop_sides(m, tonumber(ARGV[3]), redis.call('HGET', T .. 'member:' .. m, 'node') or m)
redis.call('DEL', T .. 'orders:' .. m, T .. 'member:' .. m, T .. 'm:' .. m)
if redis.call('HGET', s, 'leader') == m then redis.call('HDEL', s, 'leader') end
if ARGV[2] == '1' then redis.call('HSET', s, 'closing', '1') end
local v = redis.call('HMGET', s, 'state', 'closing')
if worker == 1 and v[1] == 'stopping' and v[2] == '1' and redis.call('SCARD', T .. 'workers') == 0 then
  v[1] = 'stopped'
  redis.call('HSET', s, 'state', v[1], 'stopped', now())
end
return {redis.call('ZREM', T .. 'members', m), v[1] or 'none'}
