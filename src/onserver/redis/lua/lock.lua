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
local l = lock_now(name)
if not l[1] then   -- nobody is in line, then
  remember(name, ticket, grant(name, ticket))
  return yours(name)
end
if l[2] == token then
  redis.call('DEL', T .. 'wake:' .. token)
  return yours(name)
end
local line = line_of(name)
if redis.call('ZADD', line, 'NX', redis.call('HINCRBY', T .. 'numbers', 'line', 1), ticket) == 1 then
  remember(name, ticket, owner)
end
waits_for_lock(owner, name)
local chain = circle(owner, name)
if chain then
  leave_line(name, ticket)
  return {'deadlock', l[1], unpack(chain)}
end
local left = l[4] == '0' and -1 or tonumber(l[4]) - now()
return {'wait', redis.call('ZRANK', line, ticket), l[1], now() - tonumber(l[3]), left}
