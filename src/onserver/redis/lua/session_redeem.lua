-- include: prefix once session
-- flags: allow-oom
-- session_redeem: follow a token to its session; it is spent then, whatever is found. Keys: otp:HASH, rotated, s:ID, sessions.
-- ARGV: nonce, hash of the token. Answer: {id, field, value, …}, or empty: unknown, spent, too old, or its session is over
local id = answered(ARGV[1])
if not id then
  local token = redis.call('GET', T .. 'otp:' .. ARGV[2])
  local space, ends = string.match(token or '', '^(%S+) (%d+)$')
  redis.call('DEL', T .. 'otp:' .. ARGV[2])
  if not space or tonumber(ends) <= now() then return {} end
  id = answer(ARGV[1], redis.call('HGET', T .. 'rotated', space) or space)
end
if not there(id) then return {} end
redis.call('HDEL', T .. 's:' .. id, 'otp:' .. string.sub(ARGV[2], 1, 16))
redis.call('HSET', T .. 's:' .. id, 'seen', stamp())
set_end(id)
local found = told(id)
table.insert(found, 1, id)
return found
