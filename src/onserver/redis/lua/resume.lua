-- include: prefix once offer accept finish unplace asks
-- flags: allow-oom
-- resume: a paused process goes on: where it was, or from its place in the queue. Keys: p:N, where it waits, orders:M,
-- once:NONCE. ARGV: nonce, number, keep_failed_s
-- Answer: {how, state, holder}; how: unknown, ended, running (it was not paused), queued (it had not begun), asked
local kept = answered(ARGV[1])
if kept then return kept end
local n, k = ARGV[2], T .. 'p:' .. ARGV[2]
local v = redis.call('HMGET', k, 's', 'o', 't', 'pz', 'pd')
if not v[3] then return {'unknown', '', ''} end
if FINAL[v[1]] then return answer(ARGV[1], {'ended', v[1], ''}) end
if not v[4] then return answer(ARGV[1], {'running', v[1], v[2] or ''}) end
redis.call('HDEL', k, 'pz', 'pb', 'pd')
redis.call('ZREM', T .. 'resting', n)
if v[2] then
  tell_member(v[2])
  return answer(ARGV[1], {'asked', v[1], v[2]})
end
local due = v[5] and tonumber(v[5]) > now() and v[5] or '0'
wait_again(n, due, tonumber(ARGV[3]))
return answer(ARGV[1], {'queued', redis.call('HGET', k, 's'), ''})
