-- Who waits for what, and who has what: common to locks, semaphores and signals.
--   T .. locks:HOLDER   set   'TICKET NAME' of all that a holder has or waits for
--   T .. waits          hash  owner -> what it waits for: the name of a lock (st:l:KEY), sem:NAME, sig:NAME, or p:N
--   T .. since          hash  owner -> when it began to wait for a lock, a semaphore or a signal, in ms
-- A ticket is 'TOKEN OWNER NUMBER'; the number is the limit of a lock, or the slots of a semaphore. Where the one who
-- waits is told through an inbox, the token is its address, CLIENT/TOKEN.
local function of_ticket(ticket) return string.match(ticket, '^(%S+) (%S+) (%d+)$') end
local function holder_of(owner) return string.match(owner, '^[^/]+') end
local function remember(name, ticket, owner)
  redis.call('SADD', T .. 'locks:' .. holder_of(owner), ticket .. ' ' .. name)
end
local function forget(name, ticket, owner)
  return redis.call('SREM', T .. 'locks:' .. holder_of(owner), ticket .. ' ' .. name)
end
-- the process that stands behind an owner 'm.e/N.d', if it is one that runs: it waits for `why`, or goes on
local function process_of(owner) return string.match(owner, '^[^/]+/(%d+)%.%d+$') end
local function begins_to_wait(owner, name, why)
  redis.call('HSET', T .. 'waits', owner, name)
  redis.call('HSETNX', T .. 'since', owner, stamp())
  local n = process_of(owner)
  if n and redis.call('HGET', T .. 'p:' .. n, 's') == 'running' then
    redis.call('HSET', T .. 'p:' .. n, 's', 'waiting', 'why', why)
  end
end
local function waits_no_more(owner)
  redis.call('HDEL', T .. 'waits', owner)
  redis.call('HDEL', T .. 'since', owner)
  local n = process_of(owner)
  local s = n and redis.call('HMGET', T .. 'p:' .. n, 's', 'o')
  if s and s[1] == 'waiting' and s[2] == holder_of(owner) then
    redis.call('HSET', T .. 'p:' .. n, 's', 'running', 'why', '')
  end
end
-- the inbox that a token names hears: token, number 0, word, text
local function tell_token(token, word, text)
  local client, rest = string.match(token, '^(.-)/(.*)$')
  if client then redis.call('PUBLISH', T .. 'c:' .. client, rest .. ' 0 ' .. word .. ' ' .. text) end
end
