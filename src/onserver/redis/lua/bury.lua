-- include: prefix offer accept finish bury
-- flags: allow-oom
-- bury: declare one holder dead, by its own member. Keys: live, h:HOLDER, held:HOLDER, burying, p:N, locks:HOLDER.
-- ARGV: member, holder, numbers begun, as in '5,8', counted 0 or 1, deliveries, keep_failed_s, where (a name for people)
-- Answer: how many it still holds: call again until 0
if not redis.call('ZSCORE', T .. 'members', ARGV[1]) then return redis.error_reply('FENCED ' .. ARGV[1]) end
return bury_holder(ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7])
