-- include: hold lines
-- Standing in line.
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
  if redis.call('ZADD', top, 'LT', z, member) == 1 then
    redis.call('SADD', T .. 'queues', q)
    if side == 'r' then
      ROOTS = nil
      if string.byte(q) ~= 33 then redis.call('HSET', T .. 'server', 'r:' .. q, '1') end
    end
  end
end
local function close_line(side, q, t, key)
  if key == '' then
    redis.call('ZADD', T .. side .. ':' .. q, 'inf', t)
  else
    redis.call('ZADD', T .. 'keys:' .. side .. ' ' .. q .. ' ' .. t, 'inf', key)
  end
end
local function open_line(side, q, t, key)
  local top, name = T .. side .. ':' .. q, side .. ' ' .. q .. ' ' .. t
  if key == '' then
    if not exact(top, t, nil, T .. 'line:' .. name) then drop_entry(side, q, t) end
  elseif exact(T .. 'keys:' .. name, key, nil, T .. 'line:' .. name .. ' ' .. key) then
    exact(top, t .. ' *', nil, T .. 'keys:' .. name)
  else
    redis.call('ZREM', T .. 'keys:' .. name, key)
  end
end
