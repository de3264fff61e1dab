-- include: prefix once
-- flags: allow-oom
-- session_mail: take the messages of a session. Keys: sm:ID. ARGV: nonce, id. Answer: the messages, the oldest first
local kept = answered(ARGV[1])
if kept then return kept end
local list = T .. 'sm:' .. ARGV[2]
local found = redis.call('LRANGE', list, 0, -1)
if #found == 0 then return found end
redis.call('DEL', list)
return answer(ARGV[1], found)
