-- include: prefix restoring
-- flags: allow-oom
-- restore_clear: what was there before the restore goes. Schedules that a code declares stay, and so do the time at which
-- maintenance ends, the session of procedures, and what is known of sessions that were dropped.
-- Keys: any that is restored, turns, schedules, schedule:NAME, server.
-- ARGV: token, keys … Answer: 1; 0 when that stage is over
if stage_of(ARGV[1]) ~= 'clearing' then return 0 end
local own = redis.call('HGET', T .. 'server', 'session') or ''
for i = 2, #ARGV do
  local key, maintenance, name = ARGV[i], redis.call('ZSCORE', T .. 'turns', 'm:'), string.match(ARGV[i], '^schedule:(.*)$')
  if name and redis.call('HGET', T .. key, 'codes') == '+' then redis.call('SREM', T .. 'schedules', name) name = nil end
  local stays = key == 'dropped' or key == 'drops' or key == 's:' .. own
  if key ~= 'schedules' and not name and not stays then redis.call('UNLINK', T .. key) end
  if key == 'turns' and maintenance then redis.call('ZADD', T .. 'turns', maintenance, 'm:') end
end
return 1
