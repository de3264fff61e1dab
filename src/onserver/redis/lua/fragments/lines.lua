-- Where processes wait: in lines, by score. A line is named 'SIDE QUEUE PROCEDURE', or 'SIDE QUEUE PROCEDURE KEY' where a
-- limit counts each KEY by itself. SIDE is r for processes of hooks and what descends from them, q for all others.
--   T .. line:LINE                  zset  its numbers by score
--   T .. keys:SIDE QUEUE PROCEDURE  zset  its keys, by the score of the first in line
--   T .. q:QUEUE, r:QUEUE           zset  procedures, likewise; 'PROCEDURE *' stands for the lines of its keys
--   T .. queues                     set   queues in which anything waits
-- An entry of the last two may be late: its score is lower than that of the first in line, or the line is empty; who
-- claims sets it right where it matters. A line that its limit has closed has the score +inf. So who claims finds at
-- once what may begin, however many may not.
local function drop_entry(side, q, member)
  redis.call('ZREM', T .. side .. ':' .. q, member)
  if redis.call('EXISTS', T .. 'q:' .. q, T .. 'r:' .. q) == 0 then redis.call('SREM', T .. 'queues', q) end
end
-- the score of the first in line, to which its entry is set; nil when it is empty
local function exact(entries, member, score, line)
  local first = redis.call('ZRANGE', line, '0', '0', 'WITHSCORES')[2]
  if first and first ~= score then redis.call('ZADD', entries, first, member) end
  return first
end
-- of the lines of keys: the key whose turn it is, and its score; nil and +inf when all are closed, nil when all are empty
local function first_key(name)
  local keys = T .. 'keys:' .. name
  while true do
    local some = redis.call('ZRANGE', keys, 0, 1, 'WITHSCORES')
    if not some[1] or some[2] == 'inf' then return nil, some[2] end
    local first = exact(keys, some[1], some[2], T .. 'line:' .. name .. ' ' .. some[1])
    if not first then
      redis.call('ZREM', keys, some[1])
    elseif not some[4] or tonumber(first) <= tonumber(some[4]) then
      return some[1], first
    end
  end
end
