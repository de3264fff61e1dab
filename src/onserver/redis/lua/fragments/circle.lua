-- Who waits for whom: from `owner` on along T .. 'waits', until `me` is met.
-- Answers {what the last one before me waits for, owner, what it waits for, owner, …}, or nil: no circle.
local function circle(me, owner)
  local chain, wanted = {''}, ''
  for _ = 1, 100 do
    if not owner then return nil end
    chain[1] = wanted
    if owner == me then return chain end
    wanted = redis.call('HGET', T .. 'waits', owner)
    if not wanted then return nil end
    chain[#chain + 1] = owner
    chain[#chain + 1] = wanted
    local n = string.match(wanted, '^p:(%d+)$')
    if n then
      local r = redis.call('HMGET', T .. wanted, 'o', 'd')
      owner = r[1] and string.format('%s/%s.%d', r[1], n, tonumber(r[2] or 0) + 1)
    else
      owner = redis.call('HGET', T .. wanted, 'o')
    end
  end
end
