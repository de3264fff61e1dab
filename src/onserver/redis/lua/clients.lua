-- include: prefix
-- flags: no-writes
-- clients: who takes requests, and how many wait or run. Keys: clients, cq:HOLDER, cn:HOLDER. ARGV: none
-- Answer: name, count …
local found, all = {}, redis.call('HGETALL', T .. 'clients')
for i = 1, #all, 2 do
  found[#found + 1] = all[i + 1]
  found[#found + 1] = redis.call('LLEN', T .. 'cq:' .. all[i]) + redis.call('LLEN', T .. 'cn:' .. all[i])
end
return found
