-- include: prefix once remote
-- flags: allow-oom
-- remote_end: a remote session ends. Where it has connections it is 'closing' from now on, and over when they have ended.
-- Keys: s:ID, rc:ID, closing and all that goes with a session.
-- ARGV: nonce, id, why (closed, dropped, stopped), tombstone (JSON without its time; '' none)
-- Answer: 1 it ends, or has ended; 0 there is no such session
local kept = answered(ARGV[1])
if kept then return kept end
local id = ARGV[2]
local kind = redis.call('HGET', T .. 's:' .. id, 'kind')
if not kind then redis.call('ZREM', T .. 'closing', id) end
if kind ~= 'remote' then return 0 end
begin_end(id, ARGV[3], ARGV[4])
emptied()
return answer(ARGV[1], 1)
