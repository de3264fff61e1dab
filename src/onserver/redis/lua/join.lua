-- include: prefix once
-- late: note_of event
-- flags: allow-oom
-- join: become a member. Keys: numbers, members, member:M.
-- ARGV: nonce, kind (worker or client), then field, value … of member:M (node, host, pid, start, boot, space, info)
-- Answer: the member's number, never used again
local kept = answered(ARGV[1])
if kept then return kept end
local m = redis.call('HINCRBY', T .. 'numbers', 'member', 1)
redis.call('HSET', T .. 'member:' .. m, 'kind', ARGV[2], 'joined', now(), unpack(ARGV, 3))
redis.call('ZADD', T .. 'members', now(), m)
if ARGV[2] == 'worker' then
  local v = redis.call('HMGET', T .. 'member:' .. m, 'node', 'host')
  note_of(101, 'worker.joined', {member = m, worker = v[1] or '', host = v[2] or ''}, tostring(m))
end
return answer(ARGV[1], m)
