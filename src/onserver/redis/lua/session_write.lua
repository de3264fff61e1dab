-- include: prefix session
-- flags: allow-oom
-- session_write: change fields of a session. Keys: s:ID, sessions, su:LOGIN, server.
-- ARGV: id, then field, value …; a quota, or what a web framework keeps (d:NAME), is removed where it has no value
-- Answer: {field, value, …} as they are now, empty where there is no such session
local id, s = ARGV[1], T .. 's:' .. ARGV[1]
if not there(id) then return {} end
for i = 2, #ARGV, 2 do
  local field, value = ARGV[i], ARGV[i + 1]
  if field == 'login' then
    local before = redis.call('HGET', s, 'login') or ''
    if before ~= '' then redis.call('SREM', T .. 'su:' .. before, id) end
    if value ~= '' then redis.call('SADD', T .. 'su:' .. value, id) end
  end
  local kept = string.sub(field, 1, 2) == 'd:'
  if kept or field == 'idle' then redis.call('HSET', s, 'seen', stamp()) end
  if value == '' and (kept or string.sub(field, 1, 6) == 'quota:') then
    redis.call('HDEL', s, field)
  else
    redis.call('HSET', s, field, value)
  end
end
set_end(id)
return told(id)
