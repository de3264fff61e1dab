-- include: prefix session
-- flags: allow-oom function
-- session_keep: write what a web framework keeps in a session, and note that it is used. Keys: s:ID, sessions, once:NONCE.
-- ARGV: nonce, id, ms: note it when the last note is older, field (d:NAME), value ('' removes it) …
-- Answer: {now, seen, until, user, login, set, privileges, roles} as they are now; empty where there is no such session
local id, s = ARGV[2], T .. 's:' .. ARGV[2]
local v = redis.call('HMGET', s, 'seen', 'until', 'user', 'login', 'set', 'privileges', 'roles', 'idle')
if not lasts(v[2]) then return {} end
-- asked again, it undoes nothing that others have changed since
if redis.call('SET', T .. 'once:' .. ARGV[1], '1', 'EX', 60, 'NX') then
  local fields, gone = {}, {}
  for i = 4, #ARGV, 2 do
    if ARGV[i + 1] == '' then
      gone[#gone + 1] = ARGV[i]
    else
      fields[#fields + 1], fields[#fields + 2] = ARGV[i], ARGV[i + 1]
    end
    if #fields == 1000 then
      redis.call('HSET', s, unpack(fields))
      fields = {}
    end
    if #gone == 1000 then
      redis.call('HDEL', s, unpack(gone))
      gone = {}
    end
  end
  if #fields > 0 then redis.call('HSET', s, unpack(fields)) end
  if #gone > 0 then redis.call('HDEL', s, unpack(gone)) end
  v[1], v[2] = use(id, ARGV[3], v[1], v[8], v[2])
end
return {stamp(), v[1], v[2], v[3], v[4], v[5], v[6], v[7]}
