-- include: prefix
-- flags: no-writes
-- oldest: since when what waits longest in each of some queues waits: of each priority, the first in line is asked, in
-- 200 lines of a queue at most. Keys: q:QUEUE, r:QUEUE, keys:SIDE QUEUE PROCEDURE, line:LINE, p:N. ARGV: queue …
-- Answer: milliseconds since 1970 for each, 0 where nothing waits
local BAND = 17592186044416   -- between the scores of two priorities
local MOST = 200
local first, looked
local function look(line)
  looked = looked + 1
  local from = '-inf'
  while from do
    local some = redis.call('ZRANGE', T .. 'line:' .. line, from, '+inf', 'BYSCORE', 'LIMIT', 0, 1, 'WITHSCORES')
    from = nil
    if some[1] then
      local v = redis.call('HMGET', T .. 'p:' .. some[1], 'qs', 'a')
      local since = tonumber(v[1] or v[2])
      if since and (not first or since < first) then first = since end
      from = string.format('%.0f', (math.floor(tonumber(some[2]) / BAND) + 1) * BAND)
    end
  end
end
local found = {}
for i, q in ipairs(ARGV) do
  first, looked = nil, 0
  for _, side in ipairs({'q', 'r'}) do
    for _, t in ipairs(redis.call('ZRANGE', T .. side .. ':' .. q, 0, MOST - 1)) do
      local keyed = string.match(t, '^(.*) %*$')
      local name = side .. ' ' .. q .. ' ' .. (keyed or t)
      if keyed then
        for _, key in ipairs(redis.call('ZRANGE', T .. 'keys:' .. name, 0, MOST - 1)) do
          if looked < MOST then look(name .. ' ' .. key) end
        end
      elseif looked < MOST then
        look(name)
      end
    end
  end
  found[i] = first or 0
end
return found
