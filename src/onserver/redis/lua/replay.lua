-- include: prefix once offer accept finish counted
-- flags: allow-oom
-- replay: a process that has failed, was lost or is dead runs again under its number, with its signature. Deliveries and
-- attempts begin anew. Keys: p:N, vars:N, log:N, kids:N, id:UUID, name:NAME, failed, dead, where it waits, once:NONCE,
-- series:left.
-- ARGV: nonce, number, who asks
-- Answer: {how, state, served or the number of another}; how: unknown, running (it has not ended), ended (well, or by an
--         order), held (it has ended, and its worker has yet to release it: ask again), hook, elsewhere (its message was
--         another broker's), live (one of its unique name lives), queued
local kept = answered(ARGV[1])
if kept then return kept end
local n, k = ARGV[2], T .. 'p:' .. ARGV[2]
local v = redis.call('HMGET', k, 's', 't', 'q', 'z', 'x', 'u', 'n', 'un', 'v', 'hk', 'o')
if not v[2] then return {'unknown', '', ''} end
local function refuse(how, more) return answer(ARGV[1], {how, v[1], more or ''}) end
if not FINAL[v[1]] then return refuse('running') end
if v[10] then return refuse('hook') end
if v[1] == 'done' or v[1] == 'aborted' then return refuse('ended') end
if v[11] then return {'held', v[1], ''} end
if string.sub(v[3], 1, 1) == '@' then return refuse('elsewhere') end
if v[8] == '1' then
  local other = redis.call('GET', T .. 'name:' .. v[7])
  if other then return refuse('live', other) end
  redis.call('SET', T .. 'name:' .. v[7], n)
end
local left = {}
for _, kind in ipairs({'failed', 'dead'}) do
  leaves(left, kind, n, v[1])
  redis.call('ZREM', T .. kind, n)
end
note_left(left)
for _, key in ipairs({k, T .. 'vars:' .. n, T .. 'log:' .. n, T .. 'kids:' .. n, T .. 'id:' .. (v[6] or '')}) do
  redis.call('PERSIST', key)
end
redis.call(
  'HDEL', k, 'e', 'r', 'f', 'm', 'd', 'tr', 'ta', 'g', 'y', 'w', 'why', 'lv', 'ab', 'ak', 'pz', 'pb', 'pd', 'pr', 'ex',
  'ms', 'me', 'mi', 'mf', 'le'
)
-- E: it may begin at any time. Y and how often: Celery's count of retries begins anew. What was a call of a mailbox runs by itself
local flags = string.gsub(string.gsub(string.gsub(v[9] or '', 'Y%d+', ''), 'E', ''), 'M%d+$', '')
local again = 'EY' .. redis.call('HINCRBY', k, 'rc', 1)
redis.call('HSET', k, 's', 'queued', 'qs', now(), 'v', again .. flags, 'rb', ARGV[3], 'ra', now(), 'why', '')
local _, known = offer(n, v[3], v[4], v[2], v[5] or '')
return answer(ARGV[1], {'queued', redis.call('HGET', k, 's'), served(v[3], known)})
