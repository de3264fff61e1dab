-- include: prefix
-- flags: allow-oom
-- silent: which members are to be buried: silent for a lease that could have been heard, or half buried.
-- Keys: members, server, burying. ARGV: member that asks, lease_ms. Answer: member numbers
if not redis.call('ZSCORE', T .. 'members', ARGV[1]) then return redis.error_reply('FENCED ' .. ARGV[1]) end
local found = {}
if now() >= tonumber(redis.call('HGET', T .. 'server', 'grace') or 0) then
  found = redis.call('ZRANGE', T .. 'members', '-inf', now() - tonumber(ARGV[2]), 'BYSCORE', 'LIMIT', 0, 20)
end
for _, e in ipairs(redis.call('HKEYS', T .. 'burying')) do
  local m = string.match(e, '^(%d+)%.')
  if not redis.call('ZSCORE', T .. 'members', m) then found[#found + 1] = m end
end
return found
