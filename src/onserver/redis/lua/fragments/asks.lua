-- What people ask of processes that are held.
-- the member of holder e looks at once what is asked: it beats, and its beat tells
local function tell_member(e)
  local list = T .. 'orders:' .. string.match(e, '^%d+')
  redis.call('RPUSH', list, 'asked')
  redis.call('LTRIM', list, -1000, -1)
end
-- all that is asked of what e holds, into found: holder, number, abort or pause, ms until it may be killed (-1 never)
local function asks_of(e, found)
  for _, n in ipairs(redis.call('LRANGE', T .. 'held:' .. e, 0, -1)) do
    local v = redis.call('HMGET', T .. 'p:' .. n, 'ab', 'pz', 'ak')
    if v[1] or v[2] then
      found[#found + 1] = e
      found[#found + 1] = n
      found[#found + 1] = v[1] and 'abort' or 'pause'
      found[#found + 1] = v[1] and v[3] and math.max(0, tonumber(v[3]) - now()) or -1
    end
  end
end
