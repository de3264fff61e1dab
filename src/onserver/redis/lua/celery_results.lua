-- include: prefix
-- flags: allow-oom
-- celery_results: how tasks stand, by their ids; and, with a token, be told when one ends.
-- Keys: p:N, id:UUID, note:UUID, w:N (one day, or until the end), wu:UUID (one minute: waits for an id that nobody put).
-- ARGV: client of the inbox or '', then id, token or '' for each. An id is a UUID or '#N'.
-- Answer: {number or 0, state, result, error, extras, ended_ms} for each; an unknown id answers number 0 and no state
local client, out = ARGV[1], {}
local FINAL = {done = 1, failed = 1, aborted = 1, lost = 1, dead = 1}
local function wait(key, token, seconds)
  if client == '' or token == '' then return end
  redis.call('SADD', key, client .. ' ' .. token)
  redis.call('EXPIRE', key, seconds)
  return true
end
for i = 2, #ARGV, 2 do
  local id, token = ARGV[i], ARGV[i + 1]
  local n = string.match(id, '^#(%d+)$') or redis.call('GET', T .. 'id:' .. id)
  local v = n and redis.call('HMGET', T .. 'p:' .. n, 's', 'r', 'e', 'm', 'f')
  if v and v[1] then
    if not FINAL[v[1]] and wait(T .. 'w:' .. n, token, 86400) then redis.call('HSET', T .. 'p:' .. n, 'w', '1') end
  else
    n, v = 0, redis.call('HMGET', T .. 'note:' .. id, 's', 'r', 'e', 'm', 'f')
    if not (v[1] and FINAL[v[1]]) then wait(T .. 'wu:' .. id, token, 60) end
  end
  out[#out + 1] = {tonumber(n), v[1] or '', v[2] or '', v[3] or '', v[4] or '', tonumber(v[5] or 0)}
end
return out
