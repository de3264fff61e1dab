-- include: session_ends
-- Remote sessions: those of desktop clients. Besides what every session has, `s:ID` has number (of the user, for hooks),
-- heard (ms of the last beat), beat (ms between two), had '1' once a connection was accepted, events the number of the
-- last one; and while it ends state 'closing', why, tomb (JSON of a tombstone, '' none).
--   T .. rc:ID    hash  number of a connection -> 'opening MS CALL NAME', 'open MS CALL NAME' or 'closing MS PROCESS NAME'
--   T .. re:ID    list  events that its client has not confirmed: 'NUMBER KIND …'
--   T .. rw:ID    set   "CLIENT TOKEN" of those who wait for an event of it
--   T .. closing  zset  id of sessions that end, by when that began
-- nil, or the refusal of what a client asks in a session
local function unusable(id)
  local v = redis.call('HMGET', T .. 's:' .. id, 'kind', 'until', 'state')
  if v[1] ~= 'remote' or not lasts(v[2]) or v[3] == 'closing' then return redis.error_reply('ONS 4102 ' .. id) end
end
local function connection_of(id, n)
  local v = redis.call('HGET', T .. 'rc:' .. id, n)
  if v then return string.match(v, '^(%S+) (%S+) (%S+) ?(.*)$') end
end
local function set_connection(id, n, state, at, what, name)
  redis.call('HSET', T .. 'rc:' .. id, n, state .. ' ' .. at .. ' ' .. what .. ' ' .. name)
end
-- what: its kind, and what is told with it
local function post_event(id, what)
  redis.call('RPUSH', T .. 're:' .. id, redis.call('HINCRBY', T .. 's:' .. id, 'events', 1) .. ' ' .. what)
  ring(id)
end
-- a connection is gone; with the last one of a session that ends, so is that. refused: by a hook at its opening
local function end_connection(id, n, refused)
  redis.call('HDEL', T .. 'rc:' .. id, n)
  if redis.call('EXISTS', T .. 'rc:' .. id) == 1 then return end
  local v = redis.call('HMGET', T .. 's:' .. id, 'state', 'tomb', 'had')
  if v[1] == 'closing' then
    entomb(id, v[2] or '')
    end_remote(id)
  elseif refused and not v[3] then
    end_remote(id)
  end
end
