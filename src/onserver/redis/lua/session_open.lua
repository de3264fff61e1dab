-- include: prefix session_ends
-- session_open: open a session, and remove a few that are over. Keys: s:ID, sessions, sk:KIND, su:LOGIN and the storages
-- of those that are over.
-- ARGV: id, kind, key of the user who logged in ('' none), idle ms, ms that it lasts at most (0 none), then field, value …
-- Answer: the record as it is, {field, value, …}; sent again with the same id it is the same
local id, kind = ARGV[1], ARGV[2]
sweep(20)
emptied()
if redis.call('EXISTS', T .. 's:' .. id) == 1 then return told(id) end
local limit = ARGV[5] == '0' and '0' or string.format('%.0f', now() + ARGV[5])
redis.call('HSET', T .. 's:' .. id, 'kind', kind, 'space', id, 'created', stamp(), 'seen', stamp(), 'idle', ARGV[4],
  'limit', limit)
if ARGV[3] ~= '' then redis.call('HSET', T .. 's:' .. id, 'login', ARGV[3]) end
for i = 6, #ARGV, 2 do redis.call('HSET', T .. 's:' .. id, ARGV[i], ARGV[i + 1]) end
enter(id, kind, ARGV[3], stamp())
return told(id)
