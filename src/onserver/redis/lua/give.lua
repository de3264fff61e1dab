-- include: prefix offer accept finish
-- flags: allow-oom
-- give: a holder hands back what it has claimed and not begun. Keys: held:HOLDER, x:HOLDER, p:N, the queues of `offer`.
-- ARGV: holder, deliveries, keep_failed_s, numbers to keep …  Answer: how many went back
local e, keep, back = ARGV[1], {}, 0
local no = guard(e) if no then return no end
for i = 4, #ARGV do keep[ARGV[i]] = true end
for _, n in ipairs(redis.call('LRANGE', T .. 'held:' .. e, 0, -1)) do
  if not keep[n] then
    redis.call('LREM', T .. 'held:' .. e, 1, n)
    requeue(n, false, false, tonumber(ARGV[2]), tonumber(ARGV[3]), '')
    back = back + 1
  end
end
redis.call('DEL', T .. 'x:' .. e)
return back
