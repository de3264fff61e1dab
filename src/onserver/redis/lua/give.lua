-- include: prefix offer accept finish
-- flags: allow-oom
-- give: a holder hands back what it has claimed and not begun. Keys: h:HOLDER, held:HOLDER, x:HOLDER, p:N, the queues of
-- `offer`. ARGV: holder, generation, deliveries, keep_failed_s, numbers to keep …
-- Answer: {how many went back, those to keep that it holds …}
-- generation: a copy that comes when a later one was here does nothing, since the holder may have begun more; the same
-- one once more says how it stands.
local e, keep, answer = ARGV[1], {}, {0}
local no = guard(e) if no then return no end
local last = tonumber(redis.call('HGET', T .. 'h:' .. e, 'given') or 0)
if tonumber(ARGV[2]) < last then return answer end
redis.call('HSET', T .. 'h:' .. e, 'given', ARGV[2])
for i = 5, #ARGV do keep[ARGV[i]] = true end
for _, n in ipairs(redis.call('LRANGE', T .. 'held:' .. e, 0, -1)) do
  if keep[n] then
    answer[#answer + 1] = tonumber(n)
  elseif tonumber(ARGV[2]) > last then
    redis.call('LREM', T .. 'held:' .. e, 1, n)
    requeue(n, false, false, tonumber(ARGV[3]), tonumber(ARGV[4]), '')
    answer[1] = answer[1] + 1
  end
end
-- what was handed over and not fetched is among it; whoever waits for that is no longer among the idle, and looks again
if tonumber(ARGV[2]) > last and redis.call('DEL', T .. 'x:' .. e) == 1 then wake(e) end
return answer
