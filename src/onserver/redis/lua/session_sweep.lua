-- include: prefix session_ends
-- flags: allow-oom
-- session_sweep: remove sessions that are over, what is left of their storages, and tombstones that are old.
-- Keys: sessions, emptying, dropped, drops and all that goes with a session.
-- ARGV: how many sessions at most, ms that tombstones are kept. Answer: 1 when there is more to remove
if redis.restoring then return 0 end
local more = sweep(tonumber(ARGV[1])) == tonumber(ARGV[1])
local spaces = redis.call('SRANDMEMBER', T .. 'emptying', 5)
for _, space in ipairs(spaces) do empty(space) end
emptied()
local old = redis.call('ZRANGE', T .. 'drops', '-inf', now() - ARGV[2], 'BYSCORE', 'LIMIT', 0, 100)
for _, id in ipairs(old) do
  redis.call('ZREM', T .. 'drops', id)
  redis.call('HDEL', T .. 'dropped', id)
end
return (more or #old == 100 or redis.call('EXISTS', T .. 'emptying') == 1) and 1 or 0
