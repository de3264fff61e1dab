-- include: prefix session
-- flags: allow-oom
-- session_note: note that a session is used. Keys: s:ID, sessions.
-- ARGV: id, ms: note it when the last note is older. Answer: {field, value, …}, empty where there is none, or it is over
local id, s = ARGV[1], T .. 's:' .. ARGV[1]
if not there(id) then return {} end
local v = redis.call('HMGET', s, 'seen', 'idle')
use(id, ARGV[2], v[1], v[2])
return told(id)
