-- include: ground claim settle
-- late: unlist idle
-- late: refill serving
-- flags: allow-oom function
-- step: settle what has ended and claim what comes next: the one round trip of a busy executor.
-- Keys: server, p:N, held:HOLDER, the queues of `claim`, idle:QUEUE:CODE, ended, dead, c:CLIENT.
-- ARGV: holder, how many to claim ("+5": for a loop), resume 0 or 1 or 2, keep_s, keep_failed_s, deliveries, code,
--       count of queues, queues …, then number, kind, state, payload, extra for each settle (kinds: end store free back
--       wait retry; of a retry the state is what `attempts` says)
-- Answer: {numbers refused, storage change number, again 0 or 1, message …}; the messages are short. again: looked
-- enough, ask once more.
-- resume 1 (after a lost reply): what is held and not settled here is answered before anything new is claimed; 2: e runs
-- something meanwhile, and is not idle where there is nothing to claim.
local e, k, resume, code = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[7]
local limits = {ARGV[4], ARGV[5], tonumber(ARGV[6])}
local queues, loop = tonumber(ARGV[8]), string.sub(ARGV[2], 1, 1) == '+'
local server, first = T .. 'server', queues > 0 and ARGV[9] or ''
local rare, alive, roots, idle = look('rare', 'e:' .. e, 'r:' .. first, 'idle:' .. first)
heed(rare)
local no = not alive and guard(e) if no then return no end
local refused, out, again = {}, {}, 0
LATER, ROOTS = {}, roots
for i = 9 + queues, #ARGV, 5 do
  if not settle(e, ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], limits) then
    refused[#refused + 1] = tonumber(ARGV[i])
  end
end
if resume == '1' then
  unlist(e)
  for _, n in ipairs(redis.call('LRANGE', T .. 'held:' .. e, 0, -1)) do out[#out + 1] = message(n) end
  redis.call('DEL', T .. 'x:' .. e)
end
if k > 0 and #out < k then
  for i = 9, 8 + queues do
    if i > 9 then ROOTS = nil end
    if not claim(e, ARGV[i], code, k, out, loop) then again = 1 end
    if #out >= k then break end
  end
  if #out == 0 and again == 0 and resume ~= '2' then
    for i = 9, 8 + queues do
      redis.call('SADD', T .. 'idle:' .. ARGV[i] .. ':' .. code, e)
      if not idle or i > 9 then redis.call('HSET', server, 'idle:' .. ARGV[i], '1') end
    end
  end
end
ROOTS = nil
if roots and redis.call('EXISTS', T .. 'r:' .. first) == 0 then redis.call('HDEL', server, 'r:' .. first) end
if rare and not RARE then redis.call('HDEL', server, 'rare') end
for q in pairs(LATER) do refill(q) end   -- what its settlements let begin, and it did not take itself
for i = 1, #out do short(out[i]) end
return {refused, tonumber(newest_change()), again, unpack(out)}
