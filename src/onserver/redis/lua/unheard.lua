-- include: prefix
-- flags: no-writes
-- unheard: events that the leader has not passed on to hooks yet, the oldest first, 100 at most.
-- Keys: server, events, p:N, workers. ARGV: member
-- Answer: nothing while the hooks of those before are running, or another leads; else {the last that was passed on, the
--         workers, entries}
local v = redis.call('HMGET', T .. 'server', 'passed', 'hearing', 'leader')
if v[3] ~= ARGV[1] then return {} end
local state = v[2] and redis.call('HGET', T .. 'p:' .. v[2], 's')
if state == 'queued' or state == 'running' or state == 'waiting' then return {} end   -- who pauses them holds up no others
local from = v[1] and '(' .. v[1] or '-'
return {v[1] or '', redis.call('SMEMBERS', T .. 'workers'), redis.call('XRANGE', T .. 'events', from, '+', 'COUNT', 100)}
