-- include: prefix once
-- flags: allow-oom
-- audit: write a line of what was done; where memory is full, too, since what frees it is written down as well.
-- Keys: audit. ARGV: nonce, how many lines are kept, id of a line that this one takes the place of or '', then field,
--       value … of the line, none to take that one away only
-- Answer: the id of the line, or '' where none was written
local kept = answered(ARGV[1])
if kept then return kept end
if ARGV[3] ~= '' then redis.call('XDEL', T .. 'audit', ARGV[3]) end
if not ARGV[4] then return answer(ARGV[1], '') end
return answer(ARGV[1], redis.call('XADD', T .. 'audit', 'MAXLEN', '~', ARGV[2], '*', unpack(ARGV, 4)))
