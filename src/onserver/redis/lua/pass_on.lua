-- include: prefix once put_side
-- flags: allow-oom
-- pass_on: the leader passes events on to hooks: their side runs, and how far it has come, in one step.
-- Keys: server, numbers, p:N, r:QUEUE, line:LINE, orders:M, once:NONCE.
-- ARGV: nonce, member, made_ms, the last one passed on before, the last one now, then for each side run: where ('once' or a
--       member), count of words, field, value …
-- Answer: their numbers; nothing when it does not lead, or another has passed them on
local kept = answered(ARGV[1])
if kept then return kept end
local no = too_old(ARGV[3]) if no then return no end
local v = redis.call('HMGET', T .. 'server', 'passed', 'leader')
if v[2] ~= ARGV[2] or (v[1] or '') ~= ARGV[4] then return {} end
local i, numbers = 6, {}
while ARGV[i] do
  local last = i + 1 + tonumber(ARGV[i + 1])
  owned_in(ARGV, i + 2, last, ARGV[1])
  local n = put_side(ARGV[i], unpack(ARGV, i + 2, last))
  if ARGV[i] == 'once' then redis.call('HSET', T .. 'server', 'hearing', n) end
  numbers[#numbers + 1] = n
  i = last + 1
end
redis.call('HSET', T .. 'server', 'passed', ARGV[5])
return answer(ARGV[1], numbers)
