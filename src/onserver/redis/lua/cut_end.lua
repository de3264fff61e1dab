-- include: prefix log_marks
-- flags: allow-oom
-- cut_end: the instant of a backup: all that was written since it was last read is copied, and the cut is over. This is
-- the only script of a cut for which anybody waits, so it copies no more than it is told to; a copy is made by Redis
-- itself and costs about as much as a read. Copies last ten minutes unless they are fetched.
-- Keys: cut, cut:dirty, cut:copies, cut:c:KEY, server, journal, any.
-- ARGV: name of the cut, how many keys at most, how many bytes at most, number of the backup (0: it has none)
-- Answer: {cut, ms, newest change, epoch, keys, bytes}; {more, keys, bytes}: too many, and it goes on; {lost}
local copies, keys, bytes = T .. 'cut:copies', {}, 0
local name, at, change, epoch = string.match(redis.call('HGET', copies, '') or '', '^(%S+) (%d+) (%d+) (%d+)$')
if name == ARGV[1] then return {'cut', tonumber(at), tonumber(change), tonumber(epoch), redis.call('HLEN', copies) - 1, 0} end
if redis.call('GET', T .. 'cut') ~= ARGV[1] then return {'lost'} end
for _, key in ipairs(redis.call('SMEMBERS', T .. 'cut:dirty')) do
  if key ~= '' then
    keys[#keys + 1] = key
    if #keys <= tonumber(ARGV[2]) then bytes = bytes + (redis.call('MEMORY', 'USAGE', T .. key) or 0) end
  end
end
if #keys > tonumber(ARGV[2]) or bytes > tonumber(ARGV[3]) then return {'more', #keys, bytes} end
for _, key in ipairs(keys) do
  redis.call('HSET', copies, key, redis.call('PEXPIRETIME', T .. key))
  redis.call('COPY', T .. key, T .. 'cut:c:' .. key, 'REPLACE')
  redis.call('PEXPIRE', T .. 'cut:c:' .. key, 600000)
end
local s = redis.call('HMGET', T .. 'server', 'change', 'epoch')
redis.call('HSET', copies, '', string.format('%s %.0f %s %s', ARGV[1], now(), s[1] or '0', s[2] or '0'))
redis.call('PEXPIRE', copies, 600000)
redis.call('DEL', T .. 'cut', T .. 'cut:dirty')
log_mark('cut', ARGV[4])
return {'cut', now(), tonumber(s[1] or 0), tonumber(s[2] or 0), #keys, bytes}
