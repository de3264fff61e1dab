-- include: prefix once offer accept finish unplace asks
-- flags: allow-oom
-- abort: ask that a process stops for good. The order is in its record before anything is done about it, so it is not run
-- again, whatever dies. Keys: p:N, where it waits, orders:M, once:NONCE.
-- ARGV: nonce, number, who asks, why, ms after which it may be killed ('' never), keep_failed_s
-- Answer: {how, state, holder}; how: unknown, ended, removed (it had not begun), asked
local kept = answered(ARGV[1])
if kept then return kept end
local n, k = ARGV[2], T .. 'p:' .. ARGV[2]
local v = redis.call('HMGET', k, 's', 'o', 't', 'ab', 'ak')
if not v[3] then return {'unknown', '', ''} end
if FINAL[v[1]] then return answer(ARGV[1], {'ended', v[1], ''}) end
local facts = {type = 'ProcessAborted', number = tonumber(n), by = ARGV[3], reason = ARGV[4], at_ms = now()}
if not v[2] then
  unplace(n)
  give_up(n, 'aborted', tonumber(ARGV[6]), facts)
  return answer(ARGV[1], {'removed', 'aborted', ''})
end
if not v[4] then redis.call('HSET', k, 'ab', cmsgpack.pack(facts), 'lv', 'asked') end
if ARGV[5] ~= '' then
  local at = now() + tonumber(ARGV[5])
  if not v[5] or at < tonumber(v[5]) then redis.call('HSET', k, 'ak', at) end
end
tell_member(v[2])
return answer(ARGV[1], {'asked', v[1], v[2]})
