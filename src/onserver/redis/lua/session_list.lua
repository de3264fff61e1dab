-- include: prefix session
-- flags: no-writes
-- session_list: the sessions that are there, the newest first. Keys: sk:KIND, su:LOGIN, s:ID.
-- ARGV: how many, kind ('' any), key of a user ('' any), ms and id of the last that was listed before ('' from the first)
-- Answer: {{id, field, value, …}, …}
local found, most = {}, tonumber(ARGV[1])
local function add(id, created)
  local after = ARGV[5] == '' or tonumber(created) < tonumber(ARGV[4]) or created == ARGV[4] and id < ARGV[5]
  if after and there(id) then found[#found + 1] = {id, created} end
end
if ARGV[3] ~= '' then
  for _, id in ipairs(redis.call('SMEMBERS', T .. 'su:' .. ARGV[3])) do
    local v = redis.call('HMGET', T .. 's:' .. id, 'created', 'kind')
    if ARGV[2] == '' or v[2] == ARGV[2] then add(id, v[1]) end
  end
else
  for _, kind in ipairs(ARGV[2] ~= '' and {ARGV[2]} or {'web', 'remote', 'storedProcedure', 'standalone'}) do
    local start, had = 0, #found
    repeat
      local page = redis.call('ZRANGE', T .. 'sk:' .. kind, ARGV[4] ~= '' and ARGV[4] or '+inf', '-inf', 'BYSCORE', 'REV',
        'LIMIT', start, 100, 'WITHSCORES')
      for i = 1, #page, 2 do add(page[i], page[i + 1]) end
      start = start + 100
    until #page < 200 or #found - had >= most
  end
end
table.sort(found, function(a, b)
  if a[2] == b[2] then return a[1] > b[1] end
  return tonumber(a[2]) > tonumber(b[2])
end)
local answer = {}
for i = 1, math.min(most, #found) do
  local one, fields = {found[i][1]}, told(found[i][1])
  for j = 1, #fields, 2 do
    if string.sub(fields[j], 1, 2) ~= 'd:' then one[#one + 1], one[#one + 2] = fields[j], fields[j + 1] end
  end
  answer[i] = one
end
return answer
