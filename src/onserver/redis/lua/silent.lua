-- include: prefix
-- flags: allow-oom
-- late: survey survey
-- late: sample series
-- silent: which members are to be buried: silent for a lease that could have been heard, or half buried. Now and then it
-- looks at what has marks as well, and after each 10 s it writes down how the server stands.
-- Keys: members, server, burying, marks, queues and their lines, series:LEVEL, and what that counts.
-- ARGV: member that asks, lease_ms, marks: percent of memory, ms in a queue; 0: not to be looked at. Answer: member numbers
if not redis.call('ZSCORE', T .. 'members', ARGV[1]) then return redis.error_reply('FENCED ' .. ARGV[1]) end
if ARGV[3] ~= '0' or ARGV[4] ~= '0' then survey(tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[1]) end
if math.floor(now() / 10000) - 1 ~= tonumber(string.match(redis.call('LINDEX', T .. 'series:10s', -1) or '', '^%d+')) then
  sample()
end
local found = {}
if now() >= tonumber(redis.call('HGET', T .. 'server', 'grace') or 0) then
  found = redis.call('ZRANGE', T .. 'members', '-inf', now() - tonumber(ARGV[2]), 'BYSCORE', 'LIMIT', 0, 20)
end
for _, e in ipairs(redis.call('HKEYS', T .. 'burying')) do
  local m = string.match(e, '^(%d+)%.')
  if not redis.call('ZSCORE', T .. 'members', m) then found[#found + 1] = m end
end
return found
