-- include: drop idle served
-- The death of a holder, in chunks: from the first line on nothing is accepted from it.
-- begun: the numbers that it had begun, as in '5,8' ('' none, 'first': what it claimed first, a loop all that it has);
-- counted: is the first of them a delivery?
-- Answers how many processes it still holds; call again until 0. `burying` remembers what a dead burier leaves.
local CHUNK = 100
local function bury_holder(e, begun, counted, limit, keep_failed, where)
  if redis.call('SREM', T .. 'live', e) == 1 then
    redis.call('HDEL', T .. 'server', 'e:' .. e)
    if begun == 'first' then
      local places = tonumber(redis.call('HGET', T .. 'h:' .. e, 'places') or 1)
      begun = table.concat(redis.call('LRANGE', T .. 'held:' .. e, 0, places == 1 and 0 or -1), ',')
      if begun == redis.call('LINDEX', T .. 'x:' .. e, 0) then begun = '' end   -- handed over, and never fetched
    end
    redis.call('HSET', T .. 'burying', e, begun .. ' ' .. counted .. ' ' .. where)
    unlist(e)
    local h = redis.call('HMGET', T .. 'h:' .. e, 'queues', 'code', 'member')
    serve_no_more(e, h[1])
    if h[2] and h[2] ~= '' and redis.call('HINCRBY', T .. 'codes', h[2], -1) <= 0 then
      redis.call('HDEL', T .. 'codes', h[2])
      redis.call('EXPIRE', T .. 'code:' .. h[2], 3600)
      redis.call('EXPIRE', T .. 'sides:' .. h[2], 3600)
      write_codes()
      CODES, ALIVE = nil, nil
    end
    if h[3] then redis.call('SREM', T .. 'm:' .. h[3], e) end
    drop_locks(e)
    redis.call('DEL', T .. 'x:' .. e, T .. 'cq:' .. e, T .. 'cn:' .. e)
    redis.call('HDEL', T .. 'clients', e)
  else
    local left = redis.call('HGET', T .. 'burying', e)
    if not left then return 0 end
    begun, counted, where = string.match(left, '^(%S*) (%S+) (.*)$')
  end
  local held, first = T .. 'held:' .. e, string.match(begun, '^%d*')
  for _, n in ipairs(redis.call('LRANGE', held, 0, CHUNK - 1)) do
    redis.call('LREM', held, 1, n)
    if redis.call('HGET', T .. 'p:' .. n, 'o') == e then
      local ran = string.find(',' .. begun .. ',', ',' .. n .. ',', 1, true)
      requeue(n, ran ~= nil, n == first and counted == '1', limit, keep_failed, where)
    end
  end
  local rest = redis.call('LLEN', held)
  if rest == 0 then redis.call('DEL', T .. 'h:' .. e) redis.call('HDEL', T .. 'burying', e) end
  return rest
end
