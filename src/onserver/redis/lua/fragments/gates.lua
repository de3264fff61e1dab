-- include: hold
-- Wide pauses: of a queue, a procedure, everything. Processes of hooks and what descends from them are not held by them.
--   T .. paused  hash  GATE ('all', 'q:QUEUE', 'p:PROCEDURE') -> 'AT UNTIL BY'; ms, UNTIL 0: until somebody resumes
local function paused(gate)
  if not STATE then look() end
  if not PAUSES then return false end
  if not GATES then
    GATES = {}
    local all = redis.call('HGETALL', T .. 'paused')
    for i = 1, #all, 2 do GATES[all[i]] = tonumber(string.match(all[i + 1], '^%d+ (%d+)')) end
  end
  local till = GATES[gate]
  return till and (till == 0 or till > now())
end
