-- include: prefix session
-- session_token: make a token that leads to a session once. Keys: s:ID, otp:HASH.
-- ARGV: id, hash of the token, ms that it is good for. Answer: 1, or 0 where there is no such session
if not there(ARGV[1]) then return 0 end
local space = redis.call('HGET', T .. 's:' .. ARGV[1], 'space')
local ends = string.format('%.0f', now() + ARGV[3])
redis.call('SET', T .. 'otp:' .. ARGV[2], space .. ' ' .. ends, 'PX', ARGV[3])
return 1
