-- include: prefix restoring session
-- flags: allow-oom
-- restore_session: sessions are found again by what they are. One of another life of the server is over, and so is one that
-- was dropped since. Keys: s:ID, server, sessions, sk:KIND, su:LOGIN, rotated, dropped. ARGV: token, ids …
-- Answer: how many there are of these; nothing when that stage is over
if stage_of(ARGV[1]) ~= 'settling' then return false end
local own, found = redis.call('HGET', T .. 'server', 'session'), 0
for i = 2, #ARGV do
  local id = ARGV[i]
  local v = redis.call('HMGET', T .. 's:' .. id, 'kind', 'login', 'created', 'space')
  if v[1] then
    enter(id, v[1], v[2] or '', v[3])
    if v[4] ~= id then redis.call('HSET', T .. 'rotated', v[4], id) end
    if v[1] == 'storedProcedure' and id ~= own or redis.call('HEXISTS', T .. 'dropped', id) == 1 then
      end_session(id)
    else
      found = found + 1
    end
  end
end
emptied()
return found
