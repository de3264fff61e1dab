-- include: prefix offer accept finish unplace
-- late: paused gates
-- flags: allow-oom
-- take: another broker has delivered a message, and its task is about to run: its process is taken out of where it waits,
-- in the name of this holder. What was lost with its worker is taken again: that broker has kept its message.
-- Keys: p:N, vars:N, log:N, kids:N, id:UUID, where it waits, held:HOLDER, failed.
-- ARGV: holder, task id ('#N' for one that follows from a number), a token of this delivery (field tk)
-- Answer: {how, number, deliveries, name, root, procedure, caller, accepted, change}; how: taken; held (another delivery
--         of it runs, here or elsewhere), paused (it, its queue, its procedure, everything), ended, unknown (there is no such process), with nothing behind
local e, uuid = ARGV[1], ARGV[2]
local no = guard(e) if no then return no end
local n = string.match(uuid, '^#(%d+)$') or redis.call('GET', T .. 'id:' .. uuid)
local k = n and T .. 'p:' .. n
local v = k and redis.call('HMGET', k, 's', 'o', 'd', 'n', 'x', 't', 'c', 'a', 'tk', 'q')
if not v or not v[6] then return {'unknown'} end
if v[2] ~= e or v[9] ~= ARGV[3] then
  if v[2] then return {'held'} end
  if v[1] == 'paused' then return {'paused'} end
  local gated = not (v[5] or FINAL[v[1]]) and {'all', 'p:' .. v[6], 'q:' .. v[10], 'q:' .. string.gsub(v[10], '^@', '')}
  for _, gate in ipairs(gated or {}) do if paused(gate) then return {'paused'} end end
  if v[1] == 'lost' then
    redis.call('ZREM', T .. 'failed', n)
    redis.call('HDEL', k, 'f', 'e')
    for _, key in ipairs({k, T .. 'vars:' .. n, T .. 'log:' .. n, T .. 'kids:' .. n, T .. 'id:' .. uuid}) do redis.call('PERSIST', key) end
    v[3] = redis.call('HINCRBY', k, 'd', 1)
  elseif FINAL[v[1]] then
    return {'ended'}
  else
    unplace(n)
  end
  take(n, e, {})
  redis.call('HSET', k, 'tk', ARGV[3])
end
return {'taken', tonumber(n), v[3] or 0, v[4] or '', v[5] or '', v[6], v[7] or '', v[8] or 0, newest_change()}
