-- include: prefix once offer accept schedule
-- flags: function
-- late: closed maintenance
-- put: make a process. Keys: numbers, p:N, name:NAME, id:UUID, key:KEY, once:NONCE, the queues of `offer`, due,
--       schedule:NAME where the fields name one (sk).
-- ARGV: nonce, holder of the writer ('' a client, '!' an operator), made_ms, queue, priority, due_ms or 0, name or '',
--       unique '' or '1', uuid or '', key or '', key_ms, then field, value … of the record (t and b among them)
-- Answer: {number, how, served}; how: new, live (a process of that name lives), key (this key's process),
--         other (the key belongs to other arguments), again (a retry, uuid with a '+' in front: the process of that id,
--         which is held, is queued again once released), same (an id names one process: it exists). A uuid '#N' is the
--         derived id of process N. Of a time of a schedule: ticked, early, paused, gone, and nothing was started
local nonce, holder, q, due, name, key, f = ARGV[1], ARGV[2], ARGV[4], ARGV[6], ARGV[7], ARGV[10], {}
local retry, uuid = string.match(ARGV[9], '^(%+?)(.*)$')
local kept = answered(nonce)
if kept then return kept end
if holder ~= '' and holder ~= '!' then local no = guard(holder) if no then return no end end
local no = too_old(ARGV[3]) if no then return no end
owned_in(ARGV, 12, #ARGV, nonce) for i = 12, #ARGV, 2 do f[ARGV[i]] = ARGV[i + 1] end
if not f.x and retry == '' then local no = closed(holder) if no then return no end end
local no = passed(f) if no then return answer(nonce, no) end
if key ~= '' then
  local n = redis.call('GET', T .. 'key:' .. key)
  local v = n and redis.call('HMGET', T .. 'p:' .. n, 't', 'b')
  if v and v[1] then
    return answer(nonce, {tonumber(n), v[1] == f.t and v[2] == f.b and 'key' or 'other', 'ok'})
  end
end
if name ~= '' and ARGV[8] ~= '' then
  local n = redis.call('GET', T .. 'name:' .. name)
  if n then return answer(nonce, {tonumber(n), 'live', 'ok'}) end
end
local known = uuid ~= '' and (string.match(uuid, '^#(%d+)$') or redis.call('GET', T .. 'id:' .. uuid))
local v = known and redis.call('HMGET', T .. 'p:' .. known, 's', 'o', 'v')
if v and v[1] then
  local again = v[2] and retry == '+'
  if again then redis.call('HSET', T .. 'p:' .. known, 'y', due, 'a', now(), unpack(ARGV, 12)) end
  if again and v[3] then redis.call('HSET', T .. 'p:' .. known, 'v', v[3]) end
  return answer(nonce, {tonumber(known), again and 'again' or 'same', 'ok'})
end
local n = redis.call('HINCRBY', T .. 'numbers', 'process', 1)
local z, k = score(ARGV[5], n), T .. 'p:' .. n
redis.call('HSET', k, 's', 'queued', 'q', q, 'z', z, 'a', now(), unpack(ARGV, 12))
note_start(f, n)
if f.ex then turn(f.ex, 'e:' .. n) end
if name ~= '' then redis.call('HSET', k, 'n', name, 'un', ARGV[8]) end
if name ~= '' and ARGV[8] ~= '' then redis.call('SET', T .. 'name:' .. name, n) end
if uuid ~= '' then name_id(n, uuid) end
if key ~= '' then redis.call('SET', T .. 'key:' .. key, n, 'PX', ARGV[11]) end
if due ~= '0' then delay(n, due) return answer(nonce, {n, 'new', served(q, known_anywhere(f.t))}) end
local _, known = offer(n, q, z, f.t, f.x or '')
return answer(nonce, {n, 'new', served(q, known)})
