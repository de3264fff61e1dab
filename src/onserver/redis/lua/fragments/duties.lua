-- ms until something is due, a limit's turn comes or a pause ends; -1 for never
local function due_in()
  local first
  for _, k in ipairs({'due', 'turns'}) do
    local at = tonumber(redis.call('ZRANGE', T .. k, 0, 0, 'WITHSCORES')[2])
    if at and (not first or at < first) then first = at end
  end
  return first and math.max(0, math.ceil(first - now())) or -1
end
