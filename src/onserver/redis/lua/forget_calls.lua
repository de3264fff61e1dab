-- include: prefix
-- flags: allow-oom
-- forget_calls: a client has the ends of these calls. What came of them goes; that they were put is known for a while longer,
-- for a message of theirs that is still under way. Keys: call:ID. Sent twice it does the same.
-- ARGV: id of the session, ms, ids … Answer: how many of them have ended
local ended = 0
for i = 3, #ARGV do
  local k = T .. 'call:' .. ARGV[i]
  local v = redis.call('HMGET', k, 'session', 's')
  if v[1] == ARGV[1] and v[2] ~= 'queued' then
    redis.call('HDEL', k, 'r', 'b', 'keep')
    if redis.call('PTTL', k) > tonumber(ARGV[2]) then redis.call('PEXPIRE', k, ARGV[2]) end
    ended = ended + 1
  end
end
return ended
