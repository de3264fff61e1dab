-- include: prefix locks
-- flags: allow-oom
-- unlock: give locks up, or the places in their lines, without writing; the next in line gets them.
-- Keys: those of lock. ARGV: space, then key, ticket …
-- Answer: how many of them were held
local held = 0
for i = 2, #ARGV, 2 do
  local name = ARGV[1] .. 'l:' .. ARGV[i]
  if unlock(name, ARGV[i + 1]) then held = held + 1 end
  leave_line(name, ARGV[i + 1])
end
return held
