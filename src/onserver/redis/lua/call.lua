-- include: prefix once into_box
-- late: closed maintenance
-- late: note_kids kids
-- call: put a call into a mailbox; its process is made, or given the call, if it has none. Keys: numbers, boxes, box:NAME,
-- p:N, the queues of `offer`, kids:N of the run that has it made, once:NONCE.
-- ARGV: nonce, holder of the writer or '', made_ms, number of the writer or '', name ('' by number), number, keep_failed_s,
--       count of texts of the start (queue, priority, field, value …; 0: none), these, then those of the call ('' alone:
--       with what it has started)
-- Answer: {number of its process, served}; {0, ''} when nothing was done
local nonce, box, n = ARGV[1], ARGV[5], ARGV[6]
local kept = answered(nonce)
if kept then return kept end
if ARGV[2] ~= '' then local no = guard(ARGV[2]) if no then return no end end
local no = too_old(ARGV[3]) or closed(ARGV[2]) if no then return no end
if box == '' then box = box_of(n) end
local mine = redis.call('HGET', T .. 'boxes', box)
local none = {0, ''}
if ARGV[5] == '' and (box == '' or mine ~= n) then return answer(nonce, none) end
local v = mine and redis.call('HMGET', T .. 'p:' .. mine, 'mx', 'mp', 'ms') or {}
if v[1] and mine == ARGV[4] then return answer(nonce, none) end
local function packed(from, to, as)
  owned_in(ARGV, from + 2, to, as)
  local m = {ARGV[from], ARGV[from + 1], string.format('%.0f', now())}
  for i = from + 2, to do m[#m + 1] = ARGV[i] end
  return cmsgpack.pack(m)
end
local count = tonumber(ARGV[8])
local start = count > 0 and packed(9, 8 + count, nonce .. '/start')
local call = ARGV[9 + count] == '' and '' or packed(9 + count, #ARGV, nonce)
if call == '' then
  if not mine and not start then return answer(nonce, none) end
  call = v[3]   -- where there is none yet it begins with that
end
local put = into_box(box, mine, v[2], call, start, tonumber(ARGV[7]))
if not mine and (tonumber(ARGV[4]) or 0) > 0 then
  redis.call('HSET', T .. 'p:' .. put[1], 'pa', ARGV[4])
  note_kids(ARGV[4], put[1], put[1])
end
return answer(nonce, put)
