-- include: prefix remote
-- flags: allow-oom
-- remote_opened: the hooks have accepted a connection, or refused it. Keys: s:ID, rc:ID and all that goes with a session.
-- ARGV: holder of the process that has asked them ('' a client that has heard how it ended), id, number of the connection,
--       1 accepted or 0 refused
-- Answer: 1 when the connection is there, else 0
if ARGV[1] ~= '' then local no = guard(ARGV[1]) if no then return no end end
local id, n = ARGV[2], ARGV[3]
local state, at, call, name = connection_of(id, n)
if not state then return 0 end
if state ~= 'opening' then return 1 end
if ARGV[4] == '1' then
  redis.call('HSET', T .. 's:' .. id, 'had', '1')
  set_connection(id, n, 'open', at, call, name)
  return 1
end
end_connection(id, n, true)
emptied()
return 0
