-- include: prefix once
-- flags: allow-oom
-- join: become a member. Keys: numbers, members, member:M.
-- ARGV: nonce, kind (worker or client), then field, value … of member:M (node, host, pid, start, boot, space, info)
-- Answer: the member's number, never used again
local kept = answered(ARGV[1])
if kept then return kept end
local m = redis.call('HINCRBY', T .. 'numbers', 'member', 1)
redis.call('HSET', T .. 'member:' .. m, 'kind', ARGV[2], 'joined', now(), unpack(ARGV, 3))
redis.call('ZADD', T .. 'members', now(), m)
return answer(ARGV[1], m)
