-- include: prefix session
-- flags: allow-oom
-- session_rotate: give a session another id; its storage stays where it is. Keys: s:ID, sm:ID, sessions, sk:KIND, su:LOGIN,
-- rotated.
-- ARGV: id, the new one. Answer: {field, value, …}, empty where there is no such session
local id, new = ARGV[1], ARGV[2]
if redis.call('EXISTS', T .. 's:' .. new) == 1 then return told(new) end
if not there(id) then return {} end
if redis.call('HGET', T .. 's:' .. id, 'kind') == 'remote' then return told(id) end   -- its client has it
local v = redis.call('HMGET', T .. 's:' .. id, 'kind', 'login', 'created', 'space', 'earlier')
leave(id)
redis.call('RENAME', T .. 's:' .. id, T .. 's:' .. new)
if redis.call('EXISTS', T .. 'sm:' .. id) == 1 then redis.call('RENAME', T .. 'sm:' .. id, T .. 'sm:' .. new) end
redis.call('HSET', T .. 'rotated', v[4], new)
redis.call('HSET', T .. 's:' .. new, 'earlier', string.sub(id .. ' ' .. (v[5] or ''), 1, 659), 'seen', stamp())
enter(new, v[1], v[2] or '', v[3])
return told(new)
