-- include: prefix session
-- flags: allow-oom function
-- session_take: read a session, and note that it was used. Keys: s:ID, sessions.
-- ARGV: id, address that it must have been opened from ('' any), ms: note it when the last note is older ('' never)
-- Answer: {field, value, …}, empty where there is none, it is over, or of another address
local id, s = ARGV[1], T .. 's:' .. ARGV[1]
local v = redis.call('HMGET', s, 'until', 'ip', 'seen', 'idle')
if not v[1] or v[1] ~= '0' and tonumber(v[1]) <= now() or ARGV[2] ~= '' and v[2] ~= ARGV[2] then return {} end
-- one that lasts less than twice as long unused is noted at half its time
if ARGV[3] ~= '' and now() - v[3] >= (v[4] == '0' and tonumber(ARGV[3]) or math.min(ARGV[3], v[4] / 2)) then
  redis.call('HSET', s, 'seen', stamp())
  set_end(id)
end
return told(id)
