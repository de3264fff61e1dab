-- include: prefix circle full
-- late: full_limit slots
-- flags: allow-oom
-- wait_process: a run says that it waits for the end of another process. Keys: live, p:N, p:M, waits, serve:QUEUE,
-- h:HOLDER, member:MEMBER. ARGV: owner (m.e/N.d), number of the other
-- Answer: {waits}; {ended}; {deadlock, what the last in the circle waits for, owner, what it waits for, …}; or
--   {limited, number, limit}: that one has not begun, and whoever has a slot of its limit waits as well; or
--   {full, number, queue}: that one has not begun, and whoever could take it waits, with no stand-in left to be started
local owner, m = ARGV[1], ARGV[2]
local holder, n = string.match(owner, '^([^/]+)/(%d+)%.')
local no = guard(holder) if no then return no end
local v = redis.call('HMGET', T .. 'p:' .. m, 's', 'f')
if not v[1] or v[2] then return {'ended'} end
local chain = circle(owner, 'p:' .. m)
for _, wanted in ipairs(chain and {'p:' .. m, unpack(chain)} or {}) do
  local number = string.match(wanted, '^p:(%d+)$')
  local limit = number and full_limit(number)
  if limit then return {'limited', number, limit} end
end
if chain then return {'deadlock', unpack(chain)} end
redis.call('HSET', T .. 'waits', owner, 'p:' .. m)
local stuck, q = full_house(holder)
if stuck then
  redis.call('HDEL', T .. 'waits', owner)
  return {'full', stuck, q}
end
redis.call('HSET', T .. 'p:' .. n, 's', 'waiting', 'why', '#' .. m)
return {'waits'}
