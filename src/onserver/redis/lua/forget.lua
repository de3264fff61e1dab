-- include: prefix counted
-- flags: allow-oom
-- forget: drop the result of a task, and with it the record of a process that has ended.
-- Keys: p:N, vars:N, log:N, kids:N, id:UUID, note:UUID, ended, failed, dead, series:left. ARGV: id (a UUID or '#N'). Answer: 1 when something was dropped
local id = ARGV[1]
local dropped = redis.call('DEL', T .. 'note:' .. id)
local n = string.match(id, '^#(%d+)$') or redis.call('GET', T .. 'id:' .. id)
local v = n and redis.call('HMGET', T .. 'p:' .. n, 'f', 'o', 'u', 's')
if v and v[1] and not v[2] then
  redis.call('DEL', T .. 'p:' .. n, T .. 'vars:' .. n, T .. 'log:' .. n, T .. 'kids:' .. n, T .. 'w:' .. n)
  if v[3] then redis.call('DEL', T .. 'id:' .. v[3]) end
  local left = {}
  for _, kind in ipairs({'ended', 'failed', 'dead'}) do
    leaves(left, kind, n, v[4])
    redis.call('ZREM', T .. kind, n)
  end
  note_left(left)
  dropped = 1
end
return dropped
