-- include: prefix
-- flags: allow-oom
-- chord_part: one part of a chord has ended. Parts are a set of ids: one that runs twice counts once.
-- Keys: chord:GROUP (keep_s). ARGV: group, "ID:INDEX" of the part, its outcome, keep_s
-- Answer: {parts that ended, parts in all or -1 while unknown, 1 when this part is to send the callback}
-- The part that completes the chord sends the callback, in this run or, if it is killed meanwhile, in its next one.
local k, part = T .. 'chord:' .. ARGV[1], ARGV[2]
if redis.call('HEXISTS', k, 'sent') == 1 then return {0, -1, 0} end
if redis.call('HSETNX', k, 'p:' .. part, ARGV[3]) == 1 then redis.call('HINCRBY', k, 'ended', 1) end
redis.call('EXPIRE', k, ARGV[4])
local v = redis.call('HMGET', k, 'ended', 'size', 'more', 'sender')
local ended, size = tonumber(v[1]), v[2] and tonumber(v[2]) + tonumber(v[3] or 0) or -1
if ended ~= size then return {ended, size, 0} end
if not v[4] then redis.call('HSET', k, 'sender', part) end
return {ended, size, (not v[4] or v[4] == part) and 1 or 0}
