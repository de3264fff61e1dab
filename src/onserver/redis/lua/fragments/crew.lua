-- include: idle
-- The workers of the server: who else lives, telling them, and waking their idle executors.
local function order_all(text)
  for _, m in ipairs(redis.call('SMEMBERS', T .. 'workers')) do
    redis.call('RPUSH', T .. 'orders:' .. m, text)
    redis.call('LTRIM', T .. 'orders:' .. m, -1000, -1)
  end
end
local function others(m)
  return redis.call('SCARD', T .. 'workers') - redis.call('SISMEMBER', T .. 'workers', m)
end
local function wake_all()
  for _, m in ipairs(redis.call('SMEMBERS', T .. 'workers')) do
    for _, e in ipairs(redis.call('SMEMBERS', T .. 'm:' .. m)) do
      unlist(e)
      wake(e)
    end
  end
end
