-- include: waiting
-- Locks, first come first served. A lock is named SPACE .. 'l:' .. KEY, e.g. st:l:rates; KEY '' is the root.
--   T .. st:l:KEY       hash  o owner, t token, x ticket, at ms, until ms (0: no limit)
--   T .. st:w:KEY       zset  the line: tickets by number of arrival
--   T .. wake:TOKEN     list  pushed when the token gets the lock: {yours, value, version, kind, change} or {again …}; 60 s
-- A ticket is 'TOKEN OWNER LIMIT': limit in ms after which the next in line may take the lock away, 0 for none.
-- Whenever a lock falls it goes to the first living one in line, in the same script: a lock that is free has no line.
local WAKE_BYTES = 65536
local function line_of(name)
  local space, key = string.match(name, '^(.-:)l:(.*)$')
  return T .. space .. 'w:' .. key, space, key
end
-- what the owner of a lock gets: {value, version, kind, change}; for the root its names as the value, in the second form
local function entry_of(space, key)
  local e = redis.call('HMGET', T .. space .. 'e:' .. key, 'v', 'n', 'k')
  return e[1] or '', e[2] or '0', e[3] or '', NEWEST or redis.call('HGET', T .. 'server', 'change') or '0'
end
local function waits_for_lock(owner, name)
  local _, _, key = line_of(name)
  begins_to_wait(owner, name, key == '' and 'lock of the root' or 'lock ' .. key)
end
local function yours(name)
  local _, space, key = line_of(name)
  if key ~= '' then return {'yours', entry_of(space, key)} end
  local change = redis.call('HGET', T .. 'server', 'change') or '0'
  return {'yours', redis.call('SMEMBERS', T .. space .. 'index'), '0', 'root', change}
end
local function grant(name, ticket)
  local token, owner, limit = of_ticket(ticket)
  local at = now()
  redis.call('HSET', T .. name, 'o', owner, 't', token, 'x', ticket, 'at', at, 'until', limit == '0' and '0' or at + limit)
  return owner
end
-- the lock is free: the first in line who lives gets it and is woken
local function pass_on(name)
  local line, space, key = line_of(name)
  local head = redis.call('ZPOPMIN', line)
  while head[1] do
    local token, owner = of_ticket(head[1])
    waits_no_more(owner)
    if fenced(holder_of(owner)) then
      forget(name, head[1], owner)
    else
      grant(name, head[1])
      local wake = T .. 'wake:' .. token
      local value, version, kind, change = entry_of(space, key)
      if key == '' or #value > WAKE_BYTES then
        redis.call('RPUSH', wake, 'again', '', '', '', '')
      else
        redis.call('RPUSH', wake, 'yours', value, version, kind, change)
      end
      redis.call('PEXPIRE', wake, 60000)
      return
    end
    head = redis.call('ZPOPMIN', line)
  end
end
-- the lock falls, which is known to be the ticket's
local function fall(name, ticket)
  local _, owner = of_ticket(ticket)
  redis.call('DEL', T .. name)
  forget(name, ticket, owner)
  pass_on(name)
end
-- the same, if it is still the token's
local function unlock(name, ticket)
  if redis.call('HGET', T .. name, 't') ~= of_ticket(ticket) then return false end
  fall(name, ticket)
  return true
end
-- the lock as it is now, {owner, token, at, until}: first it falls, if its owner is dead or has had it for too long
local function lock_now(name)
  local l = redis.call('HMGET', T .. name, 'o', 't', 'at', 'until', 'x')
  if l[1] and (fenced(holder_of(l[1])) or (l[4] ~= '0' and now() > tonumber(l[4]))) then
    fall(name, l[5])
    l = redis.call('HMGET', T .. name, 'o', 't', 'at', 'until', 'x')
  end
  return l
end
local function leave_line(name, ticket)
  local token, owner = of_ticket(ticket)
  if redis.call('ZREM', (line_of(name)), ticket) == 1 then
    forget(name, ticket, owner)
    waits_no_more(owner)
  end
  redis.call('DEL', T .. 'wake:' .. token)
end
