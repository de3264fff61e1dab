-- include: prefix
-- flags: allow-oom
-- resign: the signature of a process, or of calls that wait in its mailbox, is replaced by one with another key.
-- Keys: p:N, box:NAME. Sent twice it does the same.
-- ARGV: number, who asks, name of the mailbox or '', then old, new …
-- Answer: how many were replaced, or are already
local k, box, done, new = T .. 'p:' .. ARGV[1], T .. 'box:' .. ARGV[3], 0, {}
for i = 4, #ARGV, 2 do new[ARGV[i]], new[ARGV[i + 1]] = ARGV[i + 1], ARGV[i + 1] end
local function packed(call)
  local m, found = cmsgpack.unpack(call), 0
  for i = 4, #m, 2 do
    if m[i] == 'c' and new[m[i + 1]] then m[i + 1], found = new[m[i + 1]], found + 1 end
  end
  done = done + found
  return found > 0 and cmsgpack.pack(m)
end
local v = redis.call('HMGET', k, 'c', 'ms')
if not v[1] then return 0 end
if new[v[1]] then
  redis.call('HSET', k, 'c', new[v[1]], 'sb', ARGV[2], 'sa', now())
  done = done + 1
end
if ARGV[3] == '' then return done end
local start = v[2] and packed(v[2])
if start then redis.call('HSET', k, 'ms', start) end
for i, call in ipairs(redis.call('LRANGE', box, 0, -1)) do
  local again = packed(call)
  if again then redis.call('LSET', box, i - 1, again) end
end
if done > 0 then redis.call('HSET', k, 'sb', ARGV[2], 'sa', now()) end
return done
