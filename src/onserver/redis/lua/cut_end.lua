-- include: prefix log_marks
-- flags: allow-oom
-- cut_end: the instant of a backup: all that was written since it was last read is copied, and the cut is over. This is
-- the only script of a cut for which anybody waits, so it copies no more keys than it is told to; a copy is made by Redis
-- itself and costs about as much as a read. Copies last ten minutes unless they are fetched.
-- Keys: cut, cut:dirty, cut:copies, cut:c:KEY, server, journal, any.
-- ARGV: name of the cut, how many keys at most, number of the backup (0: it has none)
-- Answer: {cut, ms, newest change, epoch, keys}; {more, keys}: too many, and it goes on; {lost}
redis = plain()   -- what is written here need not be noted
local copies, times = T .. 'cut:copies', {}
local name, at, change, epoch = string.match(redis.call('HGET', copies, '') or '', '^(%S+) (%d+) (%d+) (%d+)$')
if name == ARGV[1] then return {'cut', tonumber(at), tonumber(change), tonumber(epoch), redis.call('HLEN', copies) - 1} end
if redis.call('GET', T .. 'cut') ~= ARGV[1] then return {'lost'} end
local keys = redis.call('SMEMBERS', T .. 'cut:dirty')
if #keys - 1 > tonumber(ARGV[2]) then return {'more', #keys - 1} end
for _, key in ipairs(keys) do
  if key ~= '' then
    local copy = T .. 'cut:c:' .. key
    local at = #times
    times[at + 1], times[at + 2] = key, redis.call('PEXPIRETIME', T .. key)
    redis.call('COPY', T .. key, copy, 'REPLACE')
    redis.call('PEXPIRE', copy, 600000)
  end
end
for first = 1, #times, 2000 do redis.call('HSET', copies, unpack(times, first, math.min(first + 1999, #times))) end
local s = redis.call('HMGET', T .. 'server', 'change', 'epoch')
redis.call('HSET', copies, '', string.format('%s %.0f %s %s', ARGV[1], now(), s[1] or '0', s[2] or '0'))
redis.call('PEXPIRE', copies, 600000)
redis.call('DEL', T .. 'cut', T .. 'cut:dirty')
log_mark('cut', ARGV[3])
return {'cut', now(), tonumber(s[1] or 0), tonumber(s[2] or 0), #keys - 1}
