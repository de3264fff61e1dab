-- Where processes wait: in lines, by score. A line is named 'SIDE QUEUE PROCEDURE', or 'SIDE QUEUE PROCEDURE KEY' where a
-- limit counts each KEY by itself. SIDE is r for processes of hooks and what descends from them, q for all others.
--   T .. line:LINE                  zset  its numbers by score
--   T .. keys:SIDE QUEUE PROCEDURE  zset  its keys, by the score of the first in line
--   T .. q:QUEUE, r:QUEUE           zset  procedures, likewise; 'PROCEDURE *' stands for the lines of its keys
--   T .. queues                     set   queues in which anything waits
-- A line that its limit has closed has the score +inf. So who claims finds at once what may begin, however many may not.
local function rank(zset, member, of)
  local first = redis.call('ZRANGE', of, 0, 0, 'WITHSCORES')[2]
  if first then redis.call('ZADD', zset, first, member) else redis.call('ZREM', zset, member) end
  return first
end
-- the first of a line has gone, or it is open again
local function rerank(side, q, t, key)
  local top, name, first = T .. side .. ':' .. q, side .. ' ' .. q .. ' ' .. t, nil
  if key == '' then
    first = rank(top, t, T .. 'line:' .. name)
  else
    rank(T .. 'keys:' .. name, key, T .. 'line:' .. name .. ' ' .. key)
    first = rank(top, t .. ' *', T .. 'keys:' .. name)
  end
  if not first and redis.call('EXISTS', T .. 'q:' .. q, T .. 'r:' .. q) == 0 then redis.call('SREM', T .. 'queues', q) end
end
-- n stands in line; one that is closed stays closed
local function join_line(n, z, side, q, t, key, limited)
  local top, name, member = T .. side .. ':' .. q, side .. ' ' .. q .. ' ' .. t, t
  if key == '' then
    redis.call('ZADD', T .. 'line:' .. name, z, n)
    if limited and redis.call('ZSCORE', top, t) == 'inf' then return end
  else
    redis.call('ZADD', T .. 'line:' .. name .. ' ' .. key, z, n)
    if redis.call('ZSCORE', T .. 'keys:' .. name, key) == 'inf' then return end
    redis.call('ZADD', T .. 'keys:' .. name, 'LT', z, key)
    member = t .. ' *'
  end
  if redis.call('ZADD', top, 'LT', z, member) == 1 then redis.call('SADD', T .. 'queues', q) end
end
local function close_line(side, q, t, key)
  local top, name = T .. side .. ':' .. q, side .. ' ' .. q .. ' ' .. t
  if key == '' then
    redis.call('ZADD', top, 'inf', t)
  else
    redis.call('ZADD', T .. 'keys:' .. name, 'inf', key)
    rank(top, t .. ' *', T .. 'keys:' .. name)
  end
end
