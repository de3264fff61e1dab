-- include: prefix signals
-- trigger_signal: wake all who wait for a signal, once. Keys: those of wait_signal.
-- ARGV: name, nonce, ms that it lives from now on. Answer: 1; 0 when it was signaled before; -1 when it is gone
local name, e = ARGV[1], T .. 'sg:e:' .. ARGV[1]
if gone(name) then return -1 end
local v = redis.call('HMGET', e, 's', 'tn')
if v[1] then return v[2] == ARGV[2] and 1 or 0 end
redis.call('HSET', e, 's', '1', 'at', now(), 'tn', ARGV[2])
redis.call('PEXPIRE', e, ARGV[3])
for _, ticket in ipairs(redis.call('SMEMBERS', T .. 'sg:q:' .. name)) do
  cease_to_wait(name, ticket)
  tell_token(of_ticket(ticket), 'signaled', '')
end
return 1
