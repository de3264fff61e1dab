-- include: prefix
-- chord_open: what a chord must know of its parts before they end. Keys: chord:GROUP (keep_s).
-- ARGV: group, field (size, tree or more), value, keep_s. A chord whose callback was sent begins anew.
-- `more` is added, since a running part may add parts. Answer: 1
local k = T .. 'chord:' .. ARGV[1]
if redis.call('HEXISTS', k, 'sent') == 1 then redis.call('DEL', k) end
if ARGV[2] == 'more' then
  redis.call('HINCRBY', k, 'more', ARGV[3])
else
  redis.call('HSET', k, ARGV[2], ARGV[3])
end
redis.call('EXPIRE', k, ARGV[4])
return 1
