-- include: prefix once offer accept
-- late: closed maintenance
-- late: note_kids kids
-- put_many: make many processes of one procedure; their numbers are consecutive. Keys: as `put`.
-- ARGV: nonce, holder or '', made_ms, queue, priority, count of common texts, common field, value …,
--       then body, signed caller, inbox, key of its limit ('' none) for each process
-- Answer: {first number, last number, served}
local kept = answered(ARGV[1])
if kept then return kept end
if ARGV[2] ~= '' then local no = guard(ARGV[2]) if no then return no end end
local no = too_old(ARGV[3]) or closed(ARGV[2]) if no then return no end
local q, width = ARGV[4], tonumber(ARGV[6])
local common, t, x, ex, pa = {}, nil, '', nil, nil
for i = 7, 6 + width do common[#common + 1] = ARGV[i] end
for i = 1, width, 2 do
  if common[i] == 't' then t = common[i + 1] elseif common[i] == 'x' then x = common[i + 1] elseif common[i] == 'ex' then ex = common[i + 1] end
  if common[i] == 'pa' then pa = common[i + 1] end
end
local count = (#ARGV - 6 - width) / 4
local last = redis.call('HINCRBY', T .. 'numbers', 'process', count)
local known, waits, line, record = nil, false, {}, {'s', 'queued', 'q', q, 'z', '', 'a', stamp(), 'b', '', 'c', '', unpack(common)}
local fixed = #record
-- Behind one that has found nobody idle, all others stand in line at once: its entry among the procedures is theirs.
local function stand()
  if line[1] then redis.call('ZADD', T .. 'line:' .. (x ~= '' and 'r ' or 'q ') .. q .. ' ' .. t, unpack(line)) end
  line = {}
end
for j = 0, count - 1 do
  local n, i, size = last - count + 1 + j, 7 + width + j * 4, fixed
  local z = score(ARGV[5], n)
  record[6], record[10], record[12] = z, ARGV[i], owned(ARGV[i + 1], ARGV[1] .. '/' .. j)
  if ARGV[i + 2] ~= '' then record[size + 1], record[size + 2], size = 'i', ARGV[i + 2], size + 2 end
  if ARGV[i + 3] ~= '' then record[size + 1], record[size + 2], size = 'lk', ARGV[i + 3], size + 2 end
  redis.call('HSET', T .. 'p:' .. n, unpack(record, 1, size))
  if ex then turn(ex, 'e:' .. n) end
  if waits then
    line[#line + 1], line[#line + 2] = z, n
    if #line >= 2000 then stand() end
  else
    local e, yes = offer(n, q, z, t, x)
    known, waits = yes, not e and string.byte(q) ~= 33 and not (LIMITED and (spec_of('p:' .. t) or spec_of('q:' .. q)))
  end
end
stand()
if pa then note_kids(pa, last - count + 1, last) end
return answer(ARGV[1], {last - count + 1, last, served(q, known)})
