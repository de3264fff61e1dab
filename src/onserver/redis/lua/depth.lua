-- include: prefix
-- flags: no-writes
-- depth: how many wait in a queue, those of hooks too. Keys: q:QUEUE, r:QUEUE, keys:…, line:LINE. ARGV: queue
-- Answer: a number
local count = 0
for _, side in ipairs({'q', 'r'}) do
  for _, t in ipairs(redis.call('ZRANGE', T .. side .. ':' .. ARGV[1], 0, -1)) do
    local keyed = string.match(t, '^(.*) %*$')
    local name = side .. ' ' .. ARGV[1] .. ' ' .. (keyed or t)
    if keyed then
      for _, key in ipairs(redis.call('ZRANGE', T .. 'keys:' .. name, 0, -1)) do
        count = count + redis.call('ZCARD', T .. 'line:' .. name .. ' ' .. key)
      end
    else
      count = count + redis.call('ZCARD', T .. 'line:' .. name)
    end
  end
end
return count
