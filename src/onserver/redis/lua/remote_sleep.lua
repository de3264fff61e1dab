-- include: prefix remote
-- flags: allow-oom
-- remote_sleep: the machine of a client is about to sleep: its session lasts longer, until it is heard again.
-- Keys: s:ID, sessions. ARGV: id, ms that it lasts. Answer: 1
local id = ARGV[1]
local no = unusable(id) if no then return no end
redis.call('HSET', T .. 's:' .. id, 'heard', stamp(), 'seen', stamp(), 'idle', ARGV[2], 'state', 'sleeping')
set_end(id)
return 1
