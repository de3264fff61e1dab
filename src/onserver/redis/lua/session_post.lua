-- include: prefix once session_ends
-- session_post: leave a message for a session, of which the newest 100 are kept. Keys: s:ID, sm:ID, rw:ID.
-- ARGV: nonce, id, the message (JSON without its time). Answer: 1, or 0 where there is no such session
local kept = answered(ARGV[1])
if kept then return kept end
if not there(ARGV[2]) then return 0 end
local list = T .. 'sm:' .. ARGV[2]
redis.call('RPUSH', list, '{"at":' .. stamp() .. ',' .. string.sub(ARGV[3], 2))
redis.call('LTRIM', list, -100, -1)
ring(ARGV[2])
return answer(ARGV[1], 1)
