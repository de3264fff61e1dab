-- The end of a process and the way back to its queue.
-- tell whoever waits: the program that asked (its inbox) and those that registered with `await`
local function tell(n, state, payload, inbox, waiters)
  local text = ' ' .. n .. ' ' .. state .. ' ' .. payload
  local function send(to)
    local client, token = string.match(to, '^(%S+) (%S+)$')
    if client then redis.call('PUBLISH', T .. 'c:' .. client, token .. text) end
  end
  if inbox and inbox ~= '' then send(inbox) end
  if waiters then
    for _, to in ipairs(redis.call('SMEMBERS', T .. 'w:' .. n)) do send(to) end
    redis.call('DEL', T .. 'w:' .. n)
  end
end
-- what every ended process leaves: its place in the history, lifetimes, a free name
local function close_record(n, state, keep, name, uuid)
  local k = T .. 'p:' .. n
  redis.call('ZADD', T .. 'ended', now(), n)
  if state == 'dead' then redis.call('ZADD', T .. 'dead', now(), n) end
  redis.call('EXPIRE', k, keep)
  if uuid then redis.call('EXPIRE', T .. 'id:' .. uuid, keep) end
  if name and redis.call('GET', T .. 'name:' .. name) == n then redis.call('DEL', T .. 'name:' .. name) end
end
-- ends n without its holder: state lost, dead or failed; why is a table that becomes the error
local function give_up(n, state, keep, why)
  local k = T .. 'p:' .. n
  local v = redis.call('HMGET', k, 'i', 'w', 'n', 'u', 'hk')
  local e = cmsgpack.pack(why)
  redis.call('HSET', k, 's', state, 'e', e, 'f', now())
  redis.call('HDEL', k, 'y')
  close_record(n, state, keep, v[3], v[4])
  if v[5] then
    local epoch, hook = string.match(v[5], '^(%S+) (.+)$')
    redis.call('HSET', T .. 'hooks:' .. epoch, hook, 'failed ' .. n)
  end
  tell(n, state, e, v[1], v[2])
end
-- n is nobody's: it waits again. counted: a begun run ended with its holder; begun: it had begun (uncounted where Redis
-- was silent). A process of rerun=False that had begun is lost; one that was begun too often is dead.
local function requeue(n, begun, counted, limit, keep_failed, where)
  local k = T .. 'p:' .. n
  local v = redis.call('HMGET', k, 'q', 'z', 't', 'x', 'v', 'hk', 'y')
  redis.call('HDEL', k, 'o', 'g', 'y')
  if not v[3] then return end
  local d = counted and redis.call('HINCRBY', k, 'd', 1) or tonumber(redis.call('HGET', k, 'd') or 0)
  local facts = {number = tonumber(n), deliveries = d, worker = where, at_ms = now()}
  if begun and string.find(v[5] or '', 'R', 1, true) then
    facts.type = 'ProcessLost'
    return give_up(n, 'lost', keep_failed, facts)
  end
  if counted and d >= limit then
    facts.type = 'ProcessDead'
    return give_up(n, 'dead', keep_failed, facts)
  end
  if v[7] and v[7] ~= '0' then return delay(n, v[7]) end   -- its run had asked to be run again then
  redis.call('HSET', k, 's', 'queued')
  if not v[6] then offer(n, v[1], v[2], v[3], v[4] or '') end
end
