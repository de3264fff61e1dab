-- include: prefix offer accept finish asks duties
-- late: note_of event
-- flags: allow-oom
-- beat: renew the one lease; learn what changed. Keys: members, server, workers, due, turns, x:HOLDER, p:N, member:M,
--       closing.
-- ARGV: member, lease_ms, deliveries, keep_failed_s, what it is (0 no worker, 1 a worker, 2 one none of whose hooks listens
--       to events), bytes of memory that it takes ('' as before), what its runs have used ('' as before, '-' nothing), then
--       holder, number seen at the head of its hand-off list at the last beat ('' none) for each executor
-- Answer: {epoch, state, leader 0 or 1, ms until something is due or -1, {heads …}, what is asked (see asks), the time,
--          how many of the queues of side runs that this worker serves have any, 1 when it leads and has events to pass
--          on, 1 when it leads and sessions of remote clients end}
-- Silence counts only while it could have been heard: when nobody was heard for half a lease, Redis (or everybody's
-- link) stood still, and all get a full lease from now on before anyone may be declared dead.
local m, lease, t = ARGV[1], tonumber(ARGV[2]), now()
if not redis.call('ZSCORE', T .. 'members', m) then return redis.error_reply('FENCED ' .. m) end
local s = redis.call('HMGET', T .. 'server', 'epoch', 'state', 'leader', 'heard', 'told', 'passed')
if t - tonumber(s[4] or 0) > lease / 2 then redis.call('HSET', T .. 'server', 'grace', t + lease) end
redis.call('HSET', T .. 'server', 'heard', t)
redis.call('ZADD', T .. 'members', t, m)
if ARGV[6] ~= '' then redis.call('HSET', T .. 'member:' .. m, 'memory', ARGV[6]) end
if ARGV[7] ~= '' then redis.call('HSET', T .. 'member:' .. m, 'usage', ARGV[7]) end
local leader = s[3]
local led = leader and tonumber(redis.call('ZSCORE', T .. 'members', leader) or 0)
if ARGV[5] ~= '0' and not (led and t - led < lease) then   -- a leader that is silent leads no longer: it is to be buried
  leader = m
  redis.call('HSET', T .. 'server', 'leader', m)
  if leader ~= s[3] then   -- one that was silent and is back may have led before
    local name = redis.call('HGET', T .. 'member:' .. m, 'node') or ''
    note_of(104, 'leader.changed', {member = tonumber(m), worker = name, before = tonumber(s[3] or 0)}, m)
  end
end
local heads, asks = {}, {}
for i = 8, #ARGV, 2 do
  local list = T .. 'x:' .. ARGV[i]
  local head = redis.call('LINDEX', list, 0)
  if head and head == ARGV[i + 1] and head ~= 'wake' then   -- a whole beat in the list: its holder does not read
    redis.call('LPOP', list, HAND)
    redis.call('LREM', T .. 'held:' .. ARGV[i], 1, head)
    requeue(head, false, false, tonumber(ARGV[3]), tonumber(ARGV[4]), '')
    head = redis.call('LINDEX', list, 0)
  end
  heads[#heads + 1] = head or ''
  asks_of(ARGV[i], asks)
end
if leader == m and ARGV[5] == '2' and s[5] then s[6] = s[5] redis.call('HSET', T .. 'server', 'passed', s[5]) end
local sides = ARGV[5] ~= '0' and redis.call('EXISTS', T .. 'r:!once', T .. 'r:!' .. m) or 0
return {tonumber(s[1] or 0), s[2] or 'none', leader == m and 1 or 0, due_in(), heads, asks, t, sides,
  leader == m and s[5] ~= s[6] and 1 or 0, leader == m and redis.call('EXISTS', T .. 'closing') or 0}
