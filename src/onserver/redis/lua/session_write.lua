-- include: prefix session
-- flags: allow-oom
-- session_write: change fields of a session. Keys: s:ID, sessions, su:LOGIN, server.
-- ARGV: id, then field, value …; a quota without value is removed
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
  if value == '' and string.sub(field, 1, 6) == 'quota:' then
    redis.call('HDEL', s, field)
  else
    redis.call('HSET', s, field, value)
  end
end
set_end(id)
return told(id)
