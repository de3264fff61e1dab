-- include: prefix restoring
-- flags: allow-oom
-- restore_stage: the next stage begins, when the one before is over. Keys: server. ARGV: token, stage that is over, next.
-- Answer: the stage as it is now, '' when there is no such restore
if stage_of(ARGV[1]) == ARGV[2] then go_to(ARGV[3]) end
return stage_of(ARGV[1]) or ''
