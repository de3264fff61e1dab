-- include: prefix remote
-- flags: allow-oom
-- remote_left: the hooks have been told that a connection has ended. Keys: s:ID, rc:ID and all that goes with a session.
-- ARGV: holder of the process that has told them, id, number of the connection. Answer: 1 when the session is over with it
local no = guard(ARGV[1]) if no then return no end
local id = ARGV[2]
if connection_of(id, ARGV[3]) == 'closing' then end_connection(id, ARGV[3]) end
emptied()
return redis.call('EXISTS', T .. 's:' .. id) == 0 and 1 or 0
