-- include: offer accept
-- makes a side run: place is 'once' or the number of a member; then field, value … of the record (t, b and c among them).
-- Answers its number; 0 when that member is gone
local function put_side(place, ...)
  if place ~= 'once' and not redis.call('ZSCORE', T .. 'members', place) then return 0 end
  local n, q = redis.call('HINCRBY', T .. 'numbers', 'process', 1), '!' .. place
  local z, k = score(5, n), T .. 'p:' .. n
  redis.call('HSET', k, 's', 'queued', 'q', q, 'z', z, 'a', now(), 'x', n, ...)
  offer(n, q, z, redis.call('HGET', k, 't'), 'x')
  return n
end
