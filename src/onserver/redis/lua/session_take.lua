-- include: prefix session
-- flags: allow-oom
-- session_take: read a session, and note that it was used. Keys: s:ID, sessions.
-- ARGV: id, address that it must have been opened from ('' any), ms: note it when the last note is older ('' never)
-- Answer: {field, value, …}, empty where there is none, it is over, or of another address
local id = ARGV[1]
if not there(id) then return {} end
local s = T .. 's:' .. id
if ARGV[2] ~= '' and redis.call('HGET', s, 'ip') ~= ARGV[2] then return {} end
local v = redis.call('HMGET', s, 'seen', 'idle')
-- one that lasts less than twice as long unused is noted at half its time
if ARGV[3] ~= '' and now() - v[1] >= (v[2] == '0' and tonumber(ARGV[3]) or math.min(ARGV[3], v[2] / 2)) then
  redis.call('HSET', s, 'seen', stamp())
  set_end(id)
end
return told(id)
