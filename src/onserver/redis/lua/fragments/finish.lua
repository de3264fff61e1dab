-- include: ending offer accept
-- late: note_cut hook_runs
-- late: leave_box box
-- late: answer_call twin
-- late: uncount limits
-- late: vacate limits
-- late: pass_slots serving
-- The end of a process and the way back to its queue.
-- ends n without its holder: state lost, dead or failed; why is a table that becomes the error
local function give_up(n, state, keep, why)
  local k = T .. 'p:' .. n
  local v = redis.call('HMGET', k, 'i', 'w', 'n', 'u', 'hk', 'mb', 'hv', 'ln', 'hc')
  local e = cmsgpack.pack(why)
  redis.call('HSET', k, 's', state, 'e', e, 'f', now())
  redis.call('HDEL', k, 'y')
  close_record(n, state, keep, v[3], v[4], v[7], v[8], v[9])
  if v[5] then
    local epoch, hook = string.match(v[5], '^(%S+) (.+)$')
    redis.call('HSET', T .. 'hooks:' .. epoch, hook, 'failed ' .. n)
  end
  tell(n, state, e, v[1], v[2])
  if v[6] then answer_call(n, state, e) leave_box(n, v[6]) end
end
-- n waits again, from the time `due` on if that is given, unless it was asked to stop or to pause meanwhile
local function wait_again(n, due, keep_failed)
  local k = T .. 'p:' .. n
  local v = redis.call('HMGET', k, 'q', 'z', 't', 'x', 'hk', 'ab', 'pz', 'mp', 'ex')
  if v[6] then return give_up(n, 'aborted', keep_failed, cmsgpack.unpack(v[6])) end
  if v[9] then turn(v[9], 'e:' .. n) end
  if v[7] then
    redis.call('HSET', k, 's', 'paused', 'why', '')
    redis.call('ZADD', T .. 'resting', v[2], n)
    if due and due ~= '0' then redis.call('HSET', k, 'pd', due) end
    return
  end
  if v[8] then   -- a mailbox that has no call
    redis.call('HSET', k, 's', 'waiting', 'why', 'calls')
    return
  end
  if due and due ~= '0' then return delay(n, due) end
  redis.call('HSET', k, 's', 'queued', 'qs', now())
  if not v[5] then offer(n, v[1], v[2], v[3], v[4] or '') end
end
-- n is nobody's: it waits again. counted: a begun run ended with its holder; begun: it had begun (uncounted where Redis
-- was silent). A process of rerun=False that had begun is lost; one that was begun too often is dead.
local function send_back(n, begun, counted, limit, keep_failed, where)
  local k = T .. 'p:' .. n
  local v = redis.call('HMGET', k, 't', 'v', 'y', 'ab', 'hk', 'hn', 'g')
  redis.call('HDEL', k, 'o', 'g', 'y')
  if not v[1] then return end
  if begun then redis.call('HSET', k, 'v', 'E' .. (string.gsub(v[2] or '', 'E', ''))) end
  local d = counted and redis.call('HINCRBY', k, 'd', 1) or tonumber(redis.call('HGET', k, 'd') or 0)
  if begun and (v[5] or v[6]) then note_cut(n, v[5], v[6], v[7], counted and d or d + 1, counted and 'died' or v[4] and 'aborted' or 'cut', where) end
  if not v[4] then
    local facts = {number = tonumber(n), deliveries = d, worker = where, at_ms = now()}
    if begun and string.find(v[2] or '', 'R', 1, true) then
      facts.type = 'ProcessLost'
      return give_up(n, 'lost', keep_failed, facts)
    end
    if counted and d >= limit then
      facts.type = 'ProcessDead'
      return give_up(n, 'dead', keep_failed, facts)
    end
  end
  wait_again(n, v[3], keep_failed)   -- where its run had asked to be run again at a time, then
end
-- the same, and what it had in limits goes to the next: its slots, and its tokens where it has not begun
local function requeue(n, begun, counted, limit, keep_failed, where)
  if not STATE then look() end
  local slots, tokens = redis.call('HGET', T .. 'p:' .. n, 'ls'), LIMITED and not begun and uncount(n) or ''
  if slots then vacate(n, slots) end
  send_back(n, begun, counted, limit, keep_failed, where)
  if slots then pass_slots(slots) end
  if tokens ~= '' then pass_slots(tokens) end
end
