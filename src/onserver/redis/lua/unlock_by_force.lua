-- include: prefix locks
-- flags: allow-oom
-- unlock_by_force: take a lock from its owner, who may be alive: its commit will be refused. The next in line gets it.
-- Keys: those of lock. ARGV: space, key
-- Answer: the owner, or nil when nobody had it
local name = ARGV[1] .. 'l:' .. ARGV[2]
local l = redis.call('HMGET', T .. name, 'o', 'x')
if l[1] then unlock(name, l[2]) end
return l[1]
