-- include: hold
-- Wide pauses: of a queue, a procedure, everything. Processes of hooks and what descends from them are not held by them.
--   T .. paused   hash  GATE ('all', 'q:QUEUE', 'p:PROCEDURE') -> 'AT UNTIL BY'; ms, UNTIL 0: until somebody resumes
--   T .. aliases  hash  an earlier name of a procedure -> its name; one pause holds what was put under any of them
local function names_now()
  local names, all = {}, redis.call('HGETALL', T .. 'aliases')
  for i = 1, #all, 2 do names['p:' .. all[i]] = 'p:' .. all[i + 1] end
  return names
end
local function paused(gate)
  if not STATE then look() end
  if not PAUSES then return false end
  if not GATES then
    GATES = {}
    local names, all = names_now(), redis.call('HGETALL', T .. 'paused')
    for i = 1, #all, 2 do
      local one, till = names[all[i]] or all[i], tonumber(string.match(all[i + 1], '^%d+ (%d+)'))
      if till == 0 or GATES[one] ~= 0 and till > (GATES[one] or 0) then GATES[one] = till end
    end
    for alias, name in pairs(names) do GATES[alias] = GATES[name] end
  end
  local till = GATES[gate]
  return till and (till == 0 or till > now())
end
