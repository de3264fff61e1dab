-- include: prefix offer accept finish bury drop_sides
-- flags: allow-oom
-- late: note_of event
-- bury_member: declare a member dead: its number is refused from here on, and what it held falls, in chunks.
-- Keys: members, member:M, workers, m:M, orders:M, r:!M and those of `bury`.
-- ARGV: member, deliveries, keep_failed_s, why (for people), silent_ms ('' buries on proof; else only if so long silent)
-- Answer: {1 when this call declared it dead, how much is left: call again until 0}
local m, first = ARGV[1], 0
local beat = redis.call('ZSCORE', T .. 'members', m)
if beat then
  if ARGV[5] ~= '' then
    local grace = tonumber(redis.call('HGET', T .. 'server', 'grace') or 0)
    if now() < grace or now() - tonumber(beat) < tonumber(ARGV[5]) then return {0, 0} end
  end
  redis.call('ZREM', T .. 'members', m)
  redis.call('SREM', T .. 'workers', m)
  redis.call('SREM', T .. 'leaving', m)
  redis.call('DEL', T .. 'orders:' .. m)
  redis.call('HSET', T .. 'member:' .. m, 'dead', now(), 'why', ARGV[4], 'usage', '-')
  redis.call('EXPIRE', T .. 'member:' .. m, tonumber(ARGV[3]))
  local v = redis.call('HMGET', T .. 'member:' .. m, 'kind', 'node', 'host')
  if v[1] == 'worker' then
    local facts = {member = tonumber(m), worker = v[2] or '', host = v[3] or '', why = ARGV[4]}
    note_of(103, 'worker.dead', facts, m)
  end
  first = 1
end
local holders = redis.call('SMEMBERS', T .. 'm:' .. m)
for _, e in ipairs(holders) do unlist(e) end   -- before anything falls, so that nothing is handed to the dead
local where, left = redis.call('HGET', T .. 'member:' .. m, 'node') or m, 0
for _, e in ipairs(holders) do
  left = left + bury_holder(e, 'first', '1', tonumber(ARGV[2]), tonumber(ARGV[3]), where)
end
for _, e in ipairs(redis.call('HKEYS', T .. 'burying')) do
  if string.match(e, '^(%d+)%.') == m then
    left = left + bury_holder(e, '', '0', tonumber(ARGV[2]), tonumber(ARGV[3]), where)
  end
end
if left == 0 then drop_sides(m, tonumber(ARGV[3]), where) end
return {first, left}
