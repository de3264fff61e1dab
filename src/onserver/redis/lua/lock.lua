-- include: prefix locks circle
-- flags: function
-- lock: take the lock of one entry or of the root, or join its line; sent again it answers how things stand now.
-- Keys: live, numbers, st:l:KEY, st:w:KEY, st:e:KEY or st:index, locks:HOLDER, waits, wake:TOKEN.
-- ARGV: space (st:), key, ticket
-- Answer: {yours, value, version, kind, change} (the root: {yours, names, '0', root, change}), or
--   {wait, how many are before, owner, ms that it has had the lock, ms until it may be taken away or -1}, or
--   {deadlock, owner, lock or process for which the last in the circle waits, owner, what it waits for, …}
local space, key, ticket = ARGV[1], ARGV[2], ARGV[3]
local name = space .. 'l:' .. key
local token, owner = of_ticket(ticket)
local no = guard(holder_of(owner))
if no then return no end
local l = redis.call('HMGET', T .. name, 'o', 't')
if l[2] == token then
  redis.call('DEL', T .. 'wake:' .. token)
  return yours(name)
end
local line = line_of(name)
if not l[1] and redis.call('EXISTS', line) == 0 then
  grant(name, ticket, redis.call('HINCRBY', T .. 'numbers', 'line', 1))
  return yours(name)
end
if not redis.call('ZSCORE', line, ticket) then
  redis.call('ZADD', line, redis.call('HINCRBY', T .. 'numbers', 'line', 1), ticket)
  remember(name, ticket, owner)
end
waits_for_lock(owner, name)
if not l[1] then pass_on(name) end
l = lock_now(name)
if l[2] == token then
  redis.call('DEL', T .. 'wake:' .. token)
  return yours(name)
end
local chain = circle(owner, name)
if chain then
  leave_line(name, ticket)
  return {'deadlock', l[1], unpack(chain)}
end
local left = l[4] == '0' and -1 or tonumber(l[4]) - now()
return {'wait', redis.call('ZRANK', line, ticket), l[1], now() - tonumber(l[3]), left}
