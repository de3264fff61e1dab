-- include: prefix once remote
-- flags: allow-oom
-- remote_register: a remote client takes requests under a name, or none any more: those that wait are dropped.
-- Keys: s:ID, asked, re:ID, once:NONCE.
-- ARGV: nonce, id, name ('' none any more). Answer: 1, or 0 when it did already, or did not: then nothing is done
local kept = answered(ARGV[1])
if kept then return kept end
local id, name = ARGV[2], ARGV[3]
local no = unusable(id) if no then return no end
if name ~= '' then return answer(ARGV[1], redis.call('HSETNX', T .. 'asked', id, name)) end
local list = T .. 're:' .. id
for _, event in ipairs(redis.call('LRANGE', list, 0, -1)) do
  if string.find(event, '^%d+ request ') then redis.call('LREM', list, 1, event) end
end
return answer(ARGV[1], redis.call('HDEL', T .. 'asked', id))
