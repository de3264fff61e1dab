-- Maintenance: the server takes no new work. In the hash `server`: mt the message, mb who asked, ma since when, mu until
-- when (ms; 0: until somebody ends it), mr '1' when new connections are rejected too.
local function refusal(what)
  local v = redis.call('HMGET', T .. 'server', 'mu', 'mt', what)
  if v[1] and (v[1] == '0' or now() < tonumber(v[1])) and (what == 'mu' or v[3] == '1') then
    return redis.error_reply('ONS 4104 ' .. v[2])
  end
end
-- nil, or the refusal of what somebody starts. What runs goes on, with what it starts: its holder is the writer. Operators
-- get in ('!'), and hooks with what descends from them, which have a root.
local function closed(writer)
  return writer == '' and refusal('mu') or nil
end
-- nil, or the refusal of a new connection
local function barred() return refusal('mr') end
-- nil, or the refusal of a new connection of a remote client: the server does not run, or somebody said so (rj by whom)
local function rejected()
  local v = redis.call('HMGET', T .. 'server', 'state', 'rj')
  local how = (not v[1] or v[1] == 'none') and 'not started' or v[1]
  if how ~= 'running' then return redis.error_reply('ONS 4113 it is ' .. how) end
  return v[2] and redis.error_reply('ONS 4113 new connections are rejected by ' .. v[2]) or nil
end
