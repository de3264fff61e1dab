-- include: claim idle limits
-- Serving: what could not begin before, and may now, is handed to idle holders.
-- what waits in q is handed to idle holders as far as it may begin
local function refill(q)
  for _, code in ipairs(codes()) do
    local idle = T .. 'idle:' .. q .. ':' .. code
    local e = redis.call('SRANDMEMBER', idle)
    while e do
      if redis.call('SISMEMBER', T .. 'live', e) == 0 then
        redis.call('SREM', idle, e)
      else
        local out = {}
        local all = claim(e, q, code, 1, out)
        if all and not out[1] then break end
        unlist(e)
        if out[1] then hand(e, out[1]) else wake(e) end
      end
      e = redis.call('SRANDMEMBER', idle)
    end
  end
end
local function serve(q)
  if LATER then LATER[q] = true else refill(q) end
end
local function serve_all() for _, q in ipairs(redis.call('SMEMBERS', T .. 'queues')) do serve(q) end end
-- limit `name` may let somebody begin
local function reopen(name)
  local queue = string.match(name, '^q:(.*)$')
  if queue then return serve(queue) end
  for _, one in ipairs(redis.call('ZRANGE', T .. 'closed', '[' .. name .. '\n', '(' .. name .. '\11', 'BYLEX')) do
    redis.call('ZREM', T .. 'closed', one)
    local side, q, t, key = string.match(one, '\n(%S+) (%S+) (%S+) ?(.*)$')
    open_line(side, q, t, key)
    serve(q)
  end
end
-- a wide pause is over: what waited for its end is offered at once
local function open_gate(gate)
  redis.call('HDEL', T .. 'paused', gate)
  redis.call('ZREM', T .. 'turns', 'g:' .. gate)
  if redis.call('EXISTS', T .. 'paused') == 0 then redis.call('HDEL', T .. 'server', 'pauses') end
  STATE, GATES = nil, nil
  local queue = string.match(gate, '^q:(.*)$')
  if queue then serve(queue) else serve_all() end
end
local function pass_slots(slots) for name in string.gmatch(slots, '[^\n]+') do reopen(name) end end
