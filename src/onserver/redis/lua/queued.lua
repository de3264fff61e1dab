-- include: prefix
-- flags: no-writes
-- queued: what waits in the queues, in pages. Keys: queues, q:QUEUE, r:QUEUE, keys:SIDE QUEUE PROCEDURE, line:LINE.
-- ARGV: which page, from 0 on, and its size for each queue. The first page is of the lines whose turn is next, and of no
-- more lines than its size; those that follow are of all lines, from their beginnings on.
-- Answer: {1 when there may be more, number …}
local page, size, out = tonumber(ARGV[1]), tonumber(ARGV[2]), {0}
local most = page == 0 and size - 1 or -1
local function lines_of(side, q)
  local lines = {}
  for _, t in ipairs(redis.call('ZRANGE', T .. side .. ':' .. q, 0, most)) do
    local keyed = string.match(t, '^(.*) %*$')
    local name = side .. ' ' .. q .. ' ' .. (keyed or t)
    if keyed then
      for _, key in ipairs(redis.call('ZRANGE', T .. 'keys:' .. name, 0, most)) do lines[#lines + 1] = name .. ' ' .. key end
    else
      lines[#lines + 1] = name
    end
  end
  return lines
end
for _, q in ipairs(redis.call('SMEMBERS', T .. 'queues')) do
  for _, side in ipairs({'r', 'q'}) do
    local lines = lines_of(side, q)
    local each = math.min(size, math.max(1, math.ceil(size / math.max(1, #lines))))
    local from = math.max(0, page - 1) * each
    if page == 0 and #lines >= size then out[1] = 1 end
    for _, line in ipairs(lines) do
      local some = redis.call('ZRANGE', T .. 'line:' .. line, from, from + each - 1)
      for _, n in ipairs(some) do out[#out + 1] = tonumber(n) end
      if #some == each then out[1] = 1 end
    end
  end
end
return out
