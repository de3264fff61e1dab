-- include: prefix once session
-- flags: allow-oom function
-- session_write: change fields of a session. Keys: s:ID, sessions, su:LOGIN, server.
-- ARGV: nonce, id, field, value …; a quota, or what a web framework keeps (d:NAME), is removed where it has no value
-- Answer: {field, value, …} as they are now, empty where there is no such session
local id, s = ARGV[2], T .. 's:' .. ARGV[2]
if not there(id) then return {} end
if answered(ARGV[1]) then return told(id) end   -- what others have changed since stays
local fields, used, timed = {}, false, false
local function write()
  if #fields > 0 then redis.call('HSET', s, unpack(fields)) end
  fields = {}
end
for i = 3, #ARGV, 2 do
  local field, value = ARGV[i], ARGV[i + 1]
  if field == 'login' then
    local before = redis.call('HGET', s, 'login') or ''
    if before ~= '' then redis.call('SREM', T .. 'su:' .. before, id) end
    if value ~= '' then redis.call('SADD', T .. 'su:' .. value, id) end
  end
  local kept = string.sub(field, 1, 2) == 'd:'
  used = used or kept or field == 'idle'
  timed = timed or used or field == 'limit' or field == 'seen'
  if value == '' and (kept or string.sub(field, 1, 6) == 'quota:') then
    redis.call('HDEL', s, field)
  else
    fields[#fields + 1], fields[#fields + 2] = field, value
    if #fields == 1000 then write() end
  end
end
if used then fields[#fields + 1], fields[#fields + 2] = 'seen', stamp() end
write()
if timed then set_end(id) end
answer(ARGV[1], 1)
return told(id)
