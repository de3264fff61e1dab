-- include: prefix
-- note: a state for a task id whose process this writer does not hold: the steps behind a failed one in a chain, the
-- callback of a failed chord, a custom state set from elsewhere. Keys: note:UUID (keep_s), id:UUID, p:N, wu:UUID.
-- ARGV: id (a UUID or '#N'), state, field of the payload (r or e), payload, extras, keep_s
-- Answer: 1 when it was written; 0 when the id has a process, which says itself how it ended
local id = ARGV[1]
local n = string.match(id, '^#(%d+)$') or redis.call('GET', T .. 'id:' .. id)
local s = n and redis.call('HGET', T .. 'p:' .. n, 's')
if s then
  local live = s == 'queued' or s == 'delayed' or s == 'running' or s == 'waiting' or s == 'paused'
  if live and ARGV[2] == 'running' then redis.call('HSET', T .. 'p:' .. n, 'm', ARGV[5]) return 1 end
  return 0
end
local k = T .. 'note:' .. id
redis.call('HSET', k, 's', ARGV[2], ARGV[3], ARGV[4], 'm', ARGV[5], 'f', now())
redis.call('EXPIRE', k, ARGV[6])
if ARGV[2] ~= 'running' then
  for _, to in ipairs(redis.call('SMEMBERS', T .. 'wu:' .. id)) do
    local client, token = string.match(to, '^(%S+) (%S+)$')
    redis.call('PUBLISH', T .. 'c:' .. client, token .. ' 0 ' .. ARGV[2] .. ' ' .. ARGV[4])
  end
  redis.call('DEL', T .. 'wu:' .. id)
end
return 1
