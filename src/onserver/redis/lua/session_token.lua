-- include: prefix session
-- session_token: make a token that leads to a session once. Keys: s:ID, otp:HASH. The session knows until when each of its
-- tokens is good, by the beginning of its hash.
-- ARGV: id, hash of the token, ms that it is good for. Answer: 1, or 0 where there is no such session
if not there(ARGV[1]) then return 0 end
local s = T .. 's:' .. ARGV[1]
for _, field in ipairs(redis.call('HKEYS', s)) do
  if string.sub(field, 1, 4) == 'otp:' and tonumber(redis.call('HGET', s, field)) <= now() then
    redis.call('HDEL', s, field)
  end
end
local space = redis.call('HGET', s, 'space')
local ends = string.format('%.0f', now() + ARGV[3])
redis.call('SET', T .. 'otp:' .. ARGV[2], space .. ' ' .. ends, 'PX', ARGV[3])
redis.call('HSET', s, 'otp:' .. string.sub(ARGV[2], 1, 16), ends)
return 1
