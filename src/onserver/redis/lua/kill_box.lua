-- include: prefix once unplace box finish
-- late: answer_call twin
-- flags: allow-oom
-- kill_box: a mailbox forgets the calls that wait, and its process ends after the present one. Keys: boxes, box:NAME, p:N,
-- where it waits, once:NONCE. ARGV: nonce, name ('' by number), number, keep_s, why it is a twin's end ('' else). Answer: 1; 0 when there is no such process
local nonce, box, n = ARGV[1], ARGV[2], ARGV[3]
local kept = answered(nonce)
if kept then return kept end
if box == '' then box = box_of(n) end
local mine = redis.call('HGET', T .. 'boxes', box)
if not mine or (ARGV[2] == '' and mine ~= n) then return answer(nonce, 0) end
local k = T .. 'p:' .. mine
local why = cmsgpack.pack({type = 'ProcessAborted', number = tonumber(mine), by = '', reason = ARGV[5], at_ms = now()})
empty_box(mine, box, why)
local v = redis.call('HMGET', k, 'o', 'n', 'i', 'w', 'hv', 'ln', 'hc')
if v[1] then
  redis.call('HSET', k, 'mx', '1')
  return answer(nonce, 1)
end
unplace(mine)
answer_call(mine, 'aborted', why)   -- which has not begun
redis.call('HSET', k, 's', 'done', 'r', '\192', 'why', '', 'f', now())
close_record(mine, 'done', ARGV[4], v[2], nil, v[5], v[6], v[7])
tell(mine, 'done', '\192', v[3], v[4])
leave_box(mine, box)
return answer(nonce, 1)
