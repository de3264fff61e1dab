-- include: session
-- The ends of sessions. One of a remote client that has connections is 'closing' first: the hooks of each are told, and with
-- the last one it is over (see the fragment `remote`).
-- whoever waits for an event of this session looks again
local function ring(id)
  for _, to in ipairs(redis.call('SMEMBERS', T .. 'rw:' .. id)) do
    local client, token = string.match(to, '^(%S+) (%S+)$')
    redis.call('PUBLISH', T .. 'c:' .. client, token .. ' 0 told ')
  end
  redis.call('DEL', T .. 'rw:' .. id)
end
local function entomb(id, tomb)
  if tomb == '' then return end
  local earlier = redis.call('HGET', T .. 's:' .. id, 'earlier') or ''
  for one in string.gmatch(id .. ' ' .. earlier, '%S+') do
    redis.call('HSET', T .. 'dropped', one, '{"at":' .. stamp() .. ',' .. string.sub(tomb, 2))
    redis.call('ZADD', T .. 'drops', stamp(), one)
  end
end
local function end_remote(id)
  ring(id)
  end_session(id)
end
-- It ends, which is told to the hooks first where it has a connection: true when it is over at once
local function begin_end(id, why, tomb)
  local s = T .. 's:' .. id
  if redis.call('EXISTS', T .. 'rc:' .. id) == 0 then
    entomb(id, tomb)
    end_remote(id)
    return true
  end
  if redis.call('HGET', s, 'state') ~= 'closing' then
    redis.call('HSET', s, 'state', 'closing', 'why', why, 'tomb', tomb, 'idle', '0', 'limit', '0')
    set_end(id)
    redis.call('ZADD', T .. 'closing', stamp(), id)
    ring(id)
  elseif tomb ~= '' then
    redis.call('HSET', s, 'tomb', tomb)
  end
  return false
end
-- those whose time is over; how many it were
local function sweep(most)
  local over = redis.call('ZRANGE', T .. 'sessions', '-inf', now(), 'BYSCORE', 'LIMIT', 0, most)
  for _, id in ipairs(over) do
    if redis.call('HGET', T .. 's:' .. id, 'kind') == 'remote' then begin_end(id, 'expired', '') else end_session(id) end
  end
  return #over
end
