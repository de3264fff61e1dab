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
local known, at = false, now()
for j = 0, count - 1 do
  local n, i = last - count + 1 + j, 7 + width + j * 4
  local z = score(ARGV[5], n)
  redis.call('HSET', T .. 'p:' .. n, 's', 'queued', 'q', q, 'z', z, 'a', at, 'b', ARGV[i],
    'c', owned(ARGV[i + 1], ARGV[1] .. '/' .. j), unpack(common))
  if ARGV[i + 2] ~= '' then redis.call('HSET', T .. 'p:' .. n, 'i', ARGV[i + 2]) end
  if ARGV[i + 3] ~= '' then redis.call('HSET', T .. 'p:' .. n, 'lk', ARGV[i + 3]) end
  if ex then turn(ex, 'e:' .. n) end
  local _, yes = offer(n, q, z, t, x)
  known = yes
end
if pa then note_kids(pa, last - count + 1, last) end
return answer(ARGV[1], {last - count + 1, last, served(q, known)})
