-- include: prefix
-- flags: no-writes
-- clients: who takes requests, and how many wait or run. Keys: clients, cq:HOLDER, cn:HOLDER,
-- asked, re:ID. ARGV: none
-- Answer: name, count …
local found, all = {}, redis.call('HGETALL', T .. 'clients')
for i = 1, #all, 2 do
  found[#found + 1] = all[i + 1]
  found[#found + 1] = redis.call('LLEN', T .. 'cq:' .. all[i]) + redis.call('LLEN', T .. 'cn:' .. all[i])
end
all = redis.call('HGETALL', T .. 'asked')
for i = 1, #all, 2 do
  local count = 0
  for _, event in ipairs(redis.call('LRANGE', T .. 're:' .. all[i], 0, -1)) do
    if string.find(event, '^%d+ request ') then count = count + 1 end
  end
  found[#found + 1], found[#found + 2] = all[i + 1], count
end
return found
