-- include: prefix locks sender
-- write_signal: write the properties of a signal that is in use, and unlock it. Keys: sg:e:NAME, sg:l:NAME, sent:SENDER.
-- ARGV: name, ticket of the lock, nonce, properties, ms that it lives from now on
-- Answer: {done}; {lost, owner now} or {gone}: nothing was written
local name, ticket = 'sg:l:' .. ARGV[1], ARGV[2]
local kept = repeated(ARGV[3])
if kept then return kept end
local token, owner = of_ticket(ticket)
local no = guard(holder_of(owner))
if no then return no end
local l = redis.call('HMGET', T .. name, 't', 'o')
if l[1] ~= token then return {'lost', l[2] or ''} end
local e = T .. 'sg:e:' .. ARGV[1]
local gone = string.sub(ARGV[1], 1, 1) == '#' and redis.call('EXISTS', e) == 0
if not gone then
  redis.call('HSET', e, 'v', ARGV[4], 'k', 'v')
  redis.call('HINCRBY', e, 'n', 1)
  redis.call('PEXPIRE', e, ARGV[5])
end
fall(name, ticket)
return said({gone and 'gone' or 'done'})
