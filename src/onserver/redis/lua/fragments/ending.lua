-- late: note_mishap mishap
-- What an end leaves.
local FINAL = {done = true, failed = true, aborted = true, lost = true, dead = true}
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
-- where the history of each kind of end is, by time: zsets of numbers
local HISTORY = {done = 'ended', failed = 'failed', aborted = 'failed', lost = 'failed', dead = 'dead'}
-- what every ended process leaves: its place in the history, lifetimes, a free name. vars, log, kids: whether it has any
local function close_record(n, state, keep, name, uuid, vars, log, kids)
  local k = T .. 'p:' .. n
  if state ~= 'done' and state ~= 'aborted' then note_mishap(n, state) end
  redis.call('ZADD', T .. HISTORY[state], stamp(), n)
  redis.call('EXPIRE', k, keep)
  if vars then redis.call('EXPIRE', T .. 'vars:' .. n, keep) end
  if log then redis.call('EXPIRE', T .. 'log:' .. n, keep) end
  if kids then redis.call('EXPIRE', T .. 'kids:' .. n, keep) end
  if uuid then redis.call('EXPIRE', T .. 'id:' .. uuid, keep) end
  if name and redis.call('GET', T .. 'name:' .. name) == n then redis.call('DEL', T .. 'name:' .. name) end
end
