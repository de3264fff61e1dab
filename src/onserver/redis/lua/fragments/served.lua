-- What is alive, written beside its sets into `server`, where who starts a process reads it with all else that it asks:
-- the codes, joined, and a field for each queue that somebody serves, and for each holder.
local function write_codes()
  local alive = redis.call('HKEYS', T .. 'codes')
  if alive[1] then redis.call('HSET', T .. 'server', 'codes', table.concat(alive, ' '))
  else redis.call('HDEL', T .. 'server', 'codes') end
end
local function join_living(e)
  redis.call('SADD', T .. 'live', e)
  redis.call('HSET', T .. 'server', 'e:' .. e, '1')
end
local function serve_too(e, q)
  redis.call('SADD', T .. 'serve:' .. q, e)
  redis.call('HSET', T .. 'server', 'q:' .. q, '1')
end
-- e takes nothing more from these queues
local function serve_no_more(e, queues)
  for q in string.gmatch(queues or '', '%S+') do
    redis.call('SREM', T .. 'serve:' .. q, e)
    if redis.call('EXISTS', T .. 'serve:' .. q) == 0 then redis.call('HDEL', T .. 'server', 'q:' .. q) end
  end
end
