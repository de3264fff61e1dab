-- include: prefix once
-- flags: allow-oom
-- admin_login: spend a login link and begin the session that it stands for. Keys: admin:link:HASH, admin:session:HASH.
-- ARGV: nonce, hash of the link, hash of the session, ms that the session lasts
-- Answer: what the link says, or empty: unknown, spent, or too old
local kept = answered(ARGV[1])
if kept then return kept end
local link = redis.call('GET', T .. 'admin:link:' .. ARGV[2])
if not link then return '' end
redis.call('DEL', T .. 'admin:link:' .. ARGV[2])
local began = cjson.decode(link)
began.at = now()
redis.call('SET', T .. 'admin:session:' .. ARGV[3], cjson.encode(began), 'PX', ARGV[4])
return answer(ARGV[1], link)
