-- include: event
-- What the leader looks at every lease, and tells when it has passed its mark: memory, and how long queues wait.
--   T .. marks  hash  what is over its mark: 'memory', 'queue QUEUE', and what workers tell of their machines
local PRIORITY, SLACK = 17592186044416, 2
-- tells of a change; over is nil between the mark and where it counts as under it again
local function passed(what, over, code, name, payload, m)
  if over == nil then return end
  local changed = over and redis.call('HSETNX', T .. 'marks', what, '1') or not over and redis.call('HDEL', T .. 'marks', what)
  if changed == 1 then
    payload.over = over
    note_of(code, name, payload, m)
  end
end
local function survey_memory(percent, m)
  local info = redis.call('INFO', 'memory')
  local function number(field) return tonumber(string.match(info, '\n' .. field .. ':(%d+)') or 0) end
  local used, limit = number('used_memory'), number('maxmemory')
  if limit == 0 then limit = number('total_system_memory') end
  if limit == 0 then return end
  local share, over = 100 * used / limit, nil
  if share >= percent then over = true elseif share < percent - SLACK then over = false end
  share = math.floor(share * 10 + 0.5) / 10
  passed('memory', over, 116, 'redis.memory', {used_bytes = used, limit_bytes = limit, percent = share}, m)
end
-- the oldest number that waits in a line, where the first of a priority is its oldest
local function oldest_in(line, found)
  local first = redis.call('ZRANGE', line, 0, 0, 'WITHSCORES')
  local last = first[1] and redis.call('ZRANGE', line, -1, -1, 'WITHSCORES')
  if not last then return found end
  local from, till = math.floor(first[2] / PRIORITY), math.floor(last[2] / PRIORITY)
  for p = from, till do
    local n = redis.call('ZRANGE', line, string.format('%.0f', p * PRIORITY),
      '(' .. string.format('%.0f', (p + 1) * PRIORITY), 'BYSCORE', 'LIMIT', 0, 1)[1]
    local v = n and redis.call('HMGET', T .. 'p:' .. n, 'qs', 'a')
    local since = v and tonumber(v[1] or v[2])
    if since and not (found.since and found.since <= since) then found = {since = since, number = tonumber(n)} end
  end
  return found
end
local function oldest_of(q)
  local found = {}
  for _, t in ipairs(redis.call('ZRANGE', T .. 'q:' .. q, 0, 99)) do
    local keyed = string.match(t, '^(.*) %*$')
    local name = 'q ' .. q .. ' ' .. (keyed or t)
    if keyed then
      for _, key in ipairs(redis.call('ZRANGE', T .. 'keys:' .. name, 0, 99)) do
        found = oldest_in(T .. 'line:' .. name .. ' ' .. key, found)
      end
    else
      found = oldest_in(T .. 'line:' .. name, found)
    end
  end
  return found
end
local function survey_queues(ms, m)
  local queues = {}
  for _, q in ipairs(redis.call('SMEMBERS', T .. 'queues')) do queues[q] = true end
  for _, what in ipairs(redis.call('HKEYS', T .. 'marks')) do
    local q = string.match(what, '^queue (.*)$')
    if q then queues[q] = true end
  end
  for q in pairs(queues) do
    local first = oldest_of(q)
    local waited = first.since and math.max(0, now() - first.since) or 0
    local payload = {queue = q, number = first.number or 0, seconds = math.floor(waited + 0.5) / 1000}
    passed('queue ' .. q, waited >= ms, 134, 'queue.waits', payload, m)
  end
end
-- percent of memory and ms in a queue; 0: not to be looked at
local function survey(percent, ms, m)
  if percent > 0 then survey_memory(percent, m) end
  if ms > 0 then survey_queues(ms, m) end
end
