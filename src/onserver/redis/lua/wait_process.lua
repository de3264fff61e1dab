-- include: prefix circle
-- wait_process: a run says that it waits for the end of another process. Keys: live, p:N, p:M, waits, serve:QUEUE,
-- h:HOLDER, member:MEMBER. ARGV: owner (m.e/N.d), number of the other
-- Answer: {waits}; {ended}; {deadlock, what the last in the circle waits for, owner, what it waits for, …}; or
--   {full, queue}: the other has not begun, and whoever could take it waits itself, with no stand-in left to be started
local owner, m = ARGV[1], ARGV[2]
local holder, n = string.match(owner, '^([^/]+)/(%d+)%.')
local no = guard(holder) if no then return no end
local v = redis.call('HMGET', T .. 'p:' .. m, 's', 'q', 'o', 'f')
if not v[1] or v[4] then return {'ended'} end
local chain = circle(owner, 'p:' .. m)
if chain then return {'deadlock', unpack(chain)} end
redis.call('HSET', T .. 'waits', owner, 'p:' .. m)
if v[1] == 'queued' and not v[3] then
  local waiting = {}
  for i, word in ipairs(redis.call('HGETALL', T .. 'waits')) do
    if i % 2 == 1 then
      local e = string.match(word, '^[^/]+')
      waiting[e] = (waiting[e] or 0) + 1
    end
  end
  local free, any = false, false
  for _, e in ipairs(redis.call('SMEMBERS', T .. 'serve:' .. v[2])) do
    local h = redis.call('HMGET', T .. 'h:' .. e, 'places', 'member')
    local spare = tonumber(redis.call('HGET', T .. 'member:' .. (h[2] or ''), 'spare') or 0)
    any = true
    if (waiting[e] or 0) < tonumber(h[1] or 1) or spare > 0 then free = true break end
  end
  if any and not free then
    redis.call('HDEL', T .. 'waits', owner)
    return {'full', v[2]}
  end
end
redis.call('HSET', T .. 'p:' .. n, 's', 'waiting', 'why', '#' .. m)
return {'waits'}
