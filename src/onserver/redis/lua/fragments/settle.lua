-- include: ending
-- late: drop_locks drop
-- late: note_attempt attempts
-- late: said_by_celery attempts
-- late: requeue finish
-- late: wait_again finish
-- late: goes_on box
-- late: leave_box box
-- late: answer_call twin
-- late: note_end hook_runs
-- late: vacate limits
-- late: pass_slots serving
-- Settling: what the holder says of a process that it holds. True when accepted, or when it was accepted before.
-- free n of e: its end (written before, or here), its place in the history, and whoever waits told; or, after a retry,
-- its next turn
local function release(e, n, v, keep, keep_failed, state, payload, written)
  local k = T .. 'p:' .. n
  redis.call('LREM', T .. 'held:' .. e, '1', n)
  if v[4] then
    redis.call('HDEL', k, 'o', 'y', 'g')
    redis.call('HSET', k, 'l', e, 'why', '')
    return wait_again(n, v[4], keep_failed)
  end
  redis.call('HDEL', k, 'o')
  if not written then redis.call('HSET', k, 'l', e, 'f', stamp()) end
  if v[10] then answer_call(n, state, payload) end
  if v[10] and not v[9] and (state == 'done' or state == 'failed') then   -- of a mailbox, this was one call
    if goes_on(n, v[10], state, payload) then return wait_again(n, nil, keep_failed) end
    state, payload = 'done', '\192'
    redis.call('HSET', k, 's', state, 'r', payload)
  end
  close_record(n, state, state == 'done' and keep or keep_failed, v[5], v[6], v[15], v[16], v[17])
  if v[7] then
    local epoch, hook = string.match(v[7], '^(%S+) (.+)$')
    redis.call('HSET', T .. 'hooks:' .. epoch, hook, (state == 'done' and 'ok ' or 'failed ') .. n)
    note_end(n, e, v[7], state, payload)
  end
  tell(n, state, payload, v[3], v[8])
  if v[10] then leave_box(n, v[10]) end
end
-- n is run again because of what it raised, said as in `attempts`. True when there is nothing more to do: it was said
-- before, or Celery has sent the next attempt, which comes when this one is released.
local function retry(e, n, v, said, payload, extra)
  local k, sent = T .. 'p:' .. n, said_by_celery(said)
  local due, news = note_attempt(e, n, said)
  if sent or news then redis.call('HSET', k, 's', 'queued', 'e', payload) end
  if sent and extra ~= '' then redis.call('HSET', k, 'm', extra) end
  if sent or not news then return true end
  drop_locks(e, string.format('%s/%s.%d', e, n, tonumber(redis.call('HGET', k, 'd') or 0) + 1))
  v[4] = due
end
local STORE = {done = 'r', failed = 'e', aborted = 'e', dead = 'e'}
local function settle(e, n, kind, state, payload, extra, limits)
  local k = T .. 'p:' .. n
  local v = redis.call('HMGET', k, 'o', 'l', 'i', 'y', 'n', 'u', 'hk', 'w', 'ab', 'mb', 'mi', 'ls', 'v', 'ex', 'hv', 'ln', 'hc')
  if v[1] ~= e then return v[2] == e end
  if v[14] then redis.call('ZREM', T .. 'turns', 'e:' .. n) end   -- nobody need look whether it begins in time
  local call = v[10] and string.match(extra, '^#(%d+)$')
  if call then
    if call ~= v[11] then return true end   -- that call was settled before, and the next one is here already
    extra = ''
  elseif v[10] and kind == 'end' then
    kind = 'store'   -- by Celery, which releases it by another word: then the next one may come
  elseif kind == 'free' and string.match(v[13] or '', 'Y%d+') ~= string.match(extra, '^Y%d+$') then
    return true   -- of its run before it was replayed, which a child of a pool had ended already
  end
  if kind == 'retry' and not v[9] then
    if retry(e, n, v, state, payload, extra) then return true end
    kind = 'free'
  elseif kind == 'retry' then
    kind, state, v[4] = said_by_celery(state) and 'store' or 'end', 'failed', nil
    redis.call('HDEL', k, 'y')
  end
  if v[9] and state == 'failed' then state, payload = 'aborted', v[9] end   -- it was asked to stop, and raised
  if state == 'failed' and not v[10] and string.find(v[13] or '', 'L', 1, true) then state = 'dead' end
  if kind == 'wait' then redis.call('HSET', k, 's', state, 'why', payload) return true end
  if kind == 'back' or STORE[state] == 'e' then  -- whoever ran it may have been killed inside a block
    drop_locks(e, string.format('%s/%s.%d', e, n, tonumber(redis.call('HGET', k, 'd') or 0) + 1))
  end
  if kind == 'back' then
    redis.call('LREM', T .. 'held:' .. e, '1', n)
    if extra == 'key' then redis.call('HSET', k, 'lk', payload) end   -- of its limit, which only its code could tell
    requeue(n, extra == 'begun' or extra == 'counted', extra == 'counted', limits[3], limits[2], '')
    return true
  end
  if kind == 'end' then
    v[4] = nil
    redis.call('HSET', k, 's', state, STORE[state] or 'r', payload, 'l', e, 'f', stamp())
  elseif kind ~= 'free' then
    redis.call('HSET', k, 's', state, STORE[state] or 'r', payload)
  end
  if kind ~= 'free' and extra ~= '' then redis.call('HSET', k, 'm', extra) end
  if kind == 'store' then
    if (state == 'done' or state == 'failed' or state == 'dead') and not v[10] then tell(n, state, payload, v[3], v[8]) end
    return true
  end
  if kind == 'free' then
    state = redis.call('HGET', k, 's')
    if state == 'running' or state == 'waiting' then state = 'done' redis.call('HSET', k, 's', state) end
    payload = redis.call('HGET', k, STORE[state] or 'r') or ''
  end
  if v[12] then vacate(n, v[12]) end
  release(e, n, v, limits[1], limits[2], state, payload, kind == 'end')
  if v[12] then pass_slots(v[12]) end
  return true
end
