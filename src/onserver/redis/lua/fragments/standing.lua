-- How the server stands: what of it is written down for the series. Each answers texts; '-' is what nobody knows.
local MANY = 10000   -- lines of queues that are counted
local SOME = 64      -- processes of which it is asked how long they waited
local function whole(number) return string.format('%.0f', number) end
-- how many ended from a to b (milliseconds, without b) by the kind of end, and all of them
local function ends(slot, a, b)
  local found, all = {}, 0
  for _, kind in ipairs({'ended', 'failed', 'dead', 'aborted'}) do
    found[kind] = tonumber(redis.call('HGET', T .. 'series:left', slot .. ' ' .. kind) or 0)
    if kind ~= 'aborted' then found[kind] = found[kind] + redis.call('ZCOUNT', T .. kind, a, '(' .. b) end
    all = all + found[kind]
  end
  return found, all
end
-- how many of those that ended otherwise than well were aborted: by their records, or by those of the first 200
local function aborted(a, b)
  local some, count = redis.call('ZRANGE', T .. 'failed', a, '(' .. b, 'BYSCORE', 'LIMIT', 0, 200), 0
  for _, n in ipairs(some) do
    if redis.call('HGET', T .. 'p:' .. n, 's') == 'aborted' then count = count + 1 end
  end
  if #some < 200 then return count end
  return math.floor(redis.call('ZCOUNT', T .. 'failed', a, '(' .. b) * count / #some + 0.5)
end
-- how long 95 of 100 of those that ended had waited for their turn at most, in milliseconds
local function wait_p95(a, b, all)
  local waits = {}
  for _, kind in ipairs({'ended', 'failed', 'dead'}) do
    local first, count = redis.call('ZCOUNT', T .. kind, '-inf', '(' .. a), redis.call('ZCOUNT', T .. kind, a, '(' .. b)
    local share = math.min(count, math.ceil(SOME * count / math.max(1, all)))
    for i = 0, share - 1 do
      local at = first + math.floor(i * count / share)
      local n = redis.call('ZRANGE', T .. kind, at, at)[1]
      local v = n and redis.call('HMGET', T .. 'p:' .. n, 'g', 'qs', 'a')
      local since = v and tonumber(v[2] or v[3])
      if since and v[1] then waits[#waits + 1] = math.max(0, tonumber(v[1]) - since) end
    end
  end
  table.sort(waits)
  return waits[1] and whole(waits[math.ceil(0.95 * #waits)]) or '-'
end
-- ended, failed (which no order did), and their wait
local function history_of(slot)
  local a, b = whole(slot * STEP), whole((slot + 1) * STEP)
  local found, all = ends(whole(slot), a, b)
  local failed = found.failed + found.dead - (found.failed > 0 and aborted(a, b) or 0)
  return {whole(all), whole(failed), wait_p95(a, b, all)}
end
-- how many processes are held by holders that run them, and how many could be
local function busy_slots()
  local busy, slots = 0, 0
  for _, e in ipairs(redis.call('SMEMBERS', T .. 'live')) do
    local v = redis.call('HMGET', T .. 'h:' .. e, 'code', 'places')
    if v[1] and v[1] ~= '' then
      local places = tonumber(v[2] or 1)
      slots = slots + places
      busy = busy + math.min(places, redis.call('LLEN', T .. 'held:' .. e))
    end
  end
  return whole(busy), whole(slots)
end
local function queued()
  local count, looked = redis.call('ZCARD', T .. 'resting'), 0
  local function add(line)
    looked = looked + 1
    if looked <= MANY then count = count + redis.call('ZCARD', T .. 'line:' .. line) end
  end
  for _, q in ipairs(redis.call('SMEMBERS', T .. 'queues')) do
    for _, side in ipairs({'q', 'r'}) do
      for _, t in ipairs(redis.call('ZRANGE', T .. side .. ':' .. q, 0, MANY)) do
        local keyed = string.match(t, '^(.*) %*$')
        local name = side .. ' ' .. q .. ' ' .. (keyed or t)
        if keyed then
          for _, key in ipairs(redis.call('ZRANGE', T .. 'keys:' .. name, 0, MANY)) do add(name .. ' ' .. key) end
        else
          add(name)
        end
      end
    end
  end
  return whole(count)
end
-- bytes of Redis, and of the workers, which say it with their beats
local function memory()
  local used, workers = string.match(redis.call('INFO', 'memory'), '\nused_memory:(%d+)'), nil
  for _, m in ipairs(redis.call('ZRANGE', T .. 'members', 0, -1)) do
    local own = redis.call('HGET', T .. 'member:' .. m, 'memory')
    if own then workers = (workers or 0) + tonumber(own) end
  end
  return used or '-', workers and whole(workers) or '-'
end
