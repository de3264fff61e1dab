-- include: prefix once offer accept finish unplace asks
-- flags: allow-oom
-- pause: ask that a process pauses; it is remembered until `resume`. Keys: p:N, where it waits, orders:M, once:NONCE.
-- ARGV: nonce, number, who asks
-- Answer: {how, state, holder}; how: unknown, ended, aborting, paused (it had not begun), asked
local kept = answered(ARGV[1])
if kept then return kept end
local n, k = ARGV[2], T .. 'p:' .. ARGV[2]
local v = redis.call('HMGET', k, 's', 'o', 't', 'ab', 'z')
if not v[3] then return {'unknown', '', ''} end
if FINAL[v[1]] then return answer(ARGV[1], {'ended', v[1], ''}) end
if v[4] then return answer(ARGV[1], {'aborting', v[1], v[2]}) end
redis.call('HSET', k, 'pz', '1', 'pb', ARGV[3])
if v[2] then
  tell_member(v[2])
  return answer(ARGV[1], {'asked', v[1], v[2]})
end
local due = redis.call('ZSCORE', T .. 'due', n)
if due then redis.call('HSET', k, 'pd', due) end
unplace(n)
redis.call('HSET', k, 's', 'paused', 'why', '')
redis.call('ZADD', T .. 'resting', v[5], n)
return answer(ARGV[1], {'paused', 'paused', ''})
