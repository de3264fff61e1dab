-- include: prefix semaphores sender
-- flags: allow-oom
-- clear_semaphores: an owner gives semaphores up; the next in line get them. Keys: those of semaphore, sent:SENDER.
-- ARGV: nonce, owner, names … Answer: how many of them it had
local kept = repeated(ARGV[1])
if kept then return kept end
local count = 0
for i = 3, #ARGV do count = count + clear_semaphore(ARGV[i], ARGV[2]) end
return said(count)
