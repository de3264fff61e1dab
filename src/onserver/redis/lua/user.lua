-- include: prefix once
-- flags: allow-oom
-- user: make, change or remove a user, or revoke what it has asked for. Keys: users, revoked, once:NONCE.
-- ARGV: nonce, verb (add, change, drop, revoke), key of the name, the new value, the value that it is to have before
--       (change); of revoke: who does it, and why
-- Answer: 1 done; 0 not: it is there already (add), or not, or is another by now
local nonce, verb, name = ARGV[1], ARGV[2], ARGV[3]
local kept = answered(nonce)
if kept then return kept end
if verb == 'add' then return answer(nonce, redis.call('HSETNX', T .. 'users', name, ARGV[4])) end
if verb == 'drop' then redis.call('HDEL', T .. 'revoked', name) end
if verb == 'drop' then return answer(nonce, redis.call('HDEL', T .. 'users', name)) end
if verb == 'revoke' then
  if redis.call('HEXISTS', T .. 'users', name) == 0 then return answer(nonce, 0) end
  redis.call('HSET', T .. 'revoked', name, cjson.encode({at = now(), by = ARGV[4], reason = ARGV[5]}))
  return answer(nonce, 1)
end
if redis.call('HGET', T .. 'users', name) ~= ARGV[5] then return answer(nonce, 0) end
redis.call('HSET', T .. 'users', name, ARGV[4])
return answer(nonce, 1)
