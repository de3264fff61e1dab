-- include: prefix once put_side
-- late: note_kids kids
-- flags: allow-oom
-- put_side: make a side run (see the fragment). Keys: numbers, p:N, r:QUEUE, line:LINE, orders:M, kids:N of the run that starts it
-- (pa, the last field), once:NONCE.
-- ARGV: nonce, holder of the writer or '', made_ms, 'once' or a member's number, then field, value … of the record
-- Answer: its number; 0 when that member is gone
local kept = answered(ARGV[1])
if kept then return kept end
if ARGV[2] ~= '' then local no = guard(ARGV[2]) if no then return no end end
local no = too_old(ARGV[3]) if no then return no end
owned_in(ARGV, 5, #ARGV, ARGV[1])
local n = put_side(ARGV[4], unpack(ARGV, 5))
if n ~= 0 and ARGV[#ARGV - 1] == 'pa' then note_kids(ARGV[#ARGV], n, n) end
return answer(ARGV[1], n)
