-- include: prefix
-- flags: allow-oom
-- restore_begin: whoever restores may begin to put keys beside those that are there. Keys: server.
-- ARGV: token, what is restored (JSON). Answer: nil, or what another restore has written there that has not ended
local found = redis.call('HGET', T .. 'server', 'restoring')
local stage, token = string.match(found or '', '^(%S+) (%S+)')
if found and token ~= ARGV[1] then return found end
if not found then redis.call('HSET', T .. 'server', 'restoring', 'staging ' .. ARGV[1] .. ' ' .. ARGV[2]) end
return false
