-- include: prefix circle full
-- late: full_limit slots
-- flags: allow-oom
-- wait_process: a run says that it waits for the end of another process, of several, or of the first of them. Keys: live,
-- p:N, p:M, waits, serve:QUEUE, h:HOLDER, member:MEMBER. ARGV: owner (m.e/N.d), what ('p:M', 'all:M M …', 'any:M M …',
-- or anything else, which is not looked into), the same for people
-- Answer: {waits}; {ended}; {deadlock, what the last in the circle waits for, owner, what it waits for, …}; or
--   {limited, number, limit}: that one has not begun, and whoever has a slot of its limit waits as well; or
--   {full, number, queue}: that one has not begun, and whoever could take it waits, with no stand-in left to be started
local owner, what = ARGV[1], ARGV[2]
local holder, n = string.match(owner, '^([^/]+)/(%d+)%.')
local no = guard(holder) if no then return no end
local function numbers_of(wanted)
  local _, numbers = several(wanted)
  return string.gmatch(numbers or string.match(wanted, '^p:(%d+)$') or '', '%d+')
end
local count, left = 0, 0
for m in numbers_of(what) do
  local v = redis.call('HMGET', T .. 'p:' .. m, 's', 'f')
  count = count + 1
  if v[1] and not v[2] then left = left + 1 end
end
if count > 0 and (left == 0 or left < count and several(what) == 'any') then return {'ended'} end
local chain = circle(owner, what)
for _, wanted in ipairs(chain and {what, unpack(chain)} or {}) do
  for number in numbers_of(wanted) do
    local limit = full_limit(number)
    if limit then return {'limited', number, limit} end
  end
end
if chain then return {'deadlock', unpack(chain)} end
redis.call('HSET', T .. 'waits', owner, what)
local stuck, q = full_house(holder)
if stuck then
  redis.call('HDEL', T .. 'waits', owner)
  return {'full', stuck, q}
end
redis.call('HSET', T .. 'p:' .. n, 's', 'waiting', 'why', ARGV[3])
return {'waits'}
