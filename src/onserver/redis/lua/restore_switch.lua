-- include: prefix restoring maintenance
-- flags: allow-oom
-- restore_switch: from here on the server is what is restored: nobody else writes it until restore_end, and the way leads
-- forward only. Refused while anything runs or is locked, and without maintenance while there are workers.
-- No number goes back: each is the larger of both, and a jump further.
-- Keys: server, numbers, cut, live, workers, held:HOLDER, locks:HOLDER, restore:TOKEN:KEY.
-- ARGV: token, parts restored, separated by spaces. Answer: {switched}, {gone}; {open}; {running, number}; {locked, ticket}
local token, parts, s = ARGV[1], ' ' .. ARGV[2] .. ' ', T .. 'server'
local stage, staged = stage_of(token), T .. 'restore:' .. ARGV[1] .. ':'
if not stage then return {'gone'} end
if stage ~= 'staging' then return {'switched'} end
if redis.call('SCARD', T .. 'workers') > 0 and not refusal('mu') then return {'open'} end
for _, e in ipairs(redis.call('SMEMBERS', T .. 'live')) do
  local held = redis.call('LINDEX', T .. 'held:' .. e, 0)
  if held then return {'running', held} end
  local lock = redis.call('SRANDMEMBER', T .. 'locks:' .. e)
  if lock then return {'locked', lock} end
end
go_to('clearing')
redis.call('SET', T .. 'cut', 'restore:' .. token)
redis.call('HSET', s, 'rare', '1')
redis.call('DEL', T .. 'cut:dirty')
local function further(here, there, fields, jump)
  for _, field in ipairs(fields) do
    local mine, saved = redis.call('HGET', here, field) or 0, redis.call('HGET', there, field) or 0
    local most = math.max(tonumber(mine), tonumber(saved)) + jump
    if most > tonumber(mine) then redis.call('HSET', here, field, string.format('%.0f', most)) end
  end
end
further(T .. 'numbers', staged .. 'numbers', redis.call('HKEYS', staged .. 'numbers'), 1000000)
further(s, staged .. 'server', {'change'}, 1000000)
redis.call('HSET', s, 'epoch_floor', redis.call('HGET', staged .. 'server', 'epoch') or '0')   -- the next one is behind it
local birth = redis.call('HGET', staged .. 'server', 'birth')
if birth and string.find(parts, ' processes ', 1, true) then redis.call('HSET', s, 'birth', birth) end
if string.find(parts, ' storage ', 1, true) then redis.call('HSET', s, 'restored', '1') end
redis.call('DEL', staged .. 'numbers', staged .. 'server')
return {'switched'}
