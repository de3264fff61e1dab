-- include: prefix
-- flags: allow-oom
-- sign_schedule: give a schedule another signature, if it still has the one that was read. Keys: schedule:NAME.
-- ARGV: name, the signature that it is to have now, the new one. Answer: 1, or 0 where somebody was faster
local k = T .. 'schedule:' .. ARGV[1]
local had = redis.call('HGET', k, 'c')
if had == ARGV[3] then return 1 end
if had ~= ARGV[2] then return 0 end
redis.call('HSET', k, 'c', ARGV[3])
return 1
