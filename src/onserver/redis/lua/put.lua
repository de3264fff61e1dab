-- include: ground once offer accept schedule present
-- flags: function
-- late: closed maintenance
-- late: note_kids kids
-- put: make a process. Keys: numbers, p:N, name:NAME, id:UUID, key:KEY, once:NONCE, the queues of `offer`, due,
--       schedule:NAME where the fields name one (sk), kids:N of the run that starts it (pa).
-- ARGV: nonce, holder of the writer ('' a client, '!' an operator), made_ms, queue, priority, due_ms or 0, name or '',
--       unique '' or '1', uuid or '', key or '', key_ms, then field, value … of the record (t and b among them)
-- Answer: {number, how, served}; how: new, live (a process of that name lives), key (this key's process),
--         other (the key belongs to other arguments), again (a retry, uuid with a '+' in front: the process of that id,
--         which is held, is queued again once released), same (an id names one process: it exists). A uuid '#N' is the
--         derived id of process N. Of a time of a schedule: ticked, early, paused, gone, and nothing was started
local nonce, holder, q, due, name, key, f = ARGV[1], ARGV[2], ARGV[4], ARGV[6], ARGV[7], ARGV[10], {}
local retry, uuid = string.match(ARGV[9], '^(%+?)(.*)$')
local rare, maintained, there, alive, idle = look('rare', 'mu', 'q:' .. q, 'e:' .. holder, 'idle:' .. q)
heed(rare)
SERVED, IDLE = there and q, idle
owned_in(ARGV, 12, #ARGV, nonce) for i = 12, #ARGV, 2 do f[ARGV[i]] = ARGV[i + 1] end
-- Most have nothing but the nonce to tell a second time from the first: it is looked for where it is kept. Not while a
-- restore lets nobody write: what was done before is answered then.
local plain = name == '' and key == '' and ARGV[9] == '' and not f.st and not redis.restoring
local kept = not plain and answered(nonce)
if kept then return kept end
local no = holder ~= '' and holder ~= '!' and not alive and guard(holder) or too_old(ARGV[3])
if not no and maintained and not f.x and retry == '' then no = closed(holder) end
if no then return plain and answered(nonce) or no end
no = passed(f) if no then return answer(nonce, no) end
no = not plain and present(f, key, ARGV[8] ~= '' and name or '', uuid, retry, due)
if no then return answer(nonce, no) end
local n = redis.call('HINCRBY', T .. 'numbers', 'process', 1)
local z, k = score(ARGV[5], n), T .. 'p:' .. n
redis.call('HSET', k, 's', 'queued', 'q', q, 'z', z, 'a', stamp(), unpack(ARGV, 12))   -- refused: nothing is kept
local before = plain and answered_before(nonce, {n, 'new', 'ok'})
if before then   -- it is the second time: nobody has seen that number
  redis.call('DEL', k)
  redis.call('HINCRBY', T .. 'numbers', 'process', -1)
  return before
end
note_start(f, n)
if f.pa then note_kids(f.pa, n, n) end
if f.ex then turn(f.ex, 'e:' .. n) end
if name ~= '' then redis.call('HSET', k, 'n', name, 'un', ARGV[8]) end
if name ~= '' and ARGV[8] ~= '' then redis.call('SET', T .. 'name:' .. name, n) end
if uuid ~= '' then name_id(n, uuid) end
if key ~= '' then redis.call('SET', T .. 'key:' .. key, n, 'PX', ARGV[11]) end
if due ~= '0' then delay(n, due) return answer(nonce, {n, 'new', served(q, known_anywhere(f.t))}) end
f.q, f.z, f.a, f.n, f.u = q, z, STAMP, name ~= '' and name, uuid ~= '' and uuid
local e, known = offer(n, q, z, f.t, f.x or '', f)
if idle and not e then nobody_waits(q) end
local news = {n, 'new', served(q, known)}
return plain and news[3] == 'ok' and news or answer(nonce, news)
