-- include: prefix marks
-- flags: no-writes
-- pulse: marks that change when something does, for who watches. Keys: numbers, server, live, held:HOLDER, locks:HOLDER,
-- ended, failed, dead, due, resting, paused, queues, sessions, closing, asked, dropped, waits, members, leaving, drained,
-- codes, hook_runs, events, backup, backup:run, schedules, schedule:NAME, audit.
-- ARGV: id of the last event that is known, 0-0 where there was none, or ''; how many events at most
-- Answer: {now, 1 while something runs, id of the last event or 0-0, 1 where some between are not told,
--   {{id, {field, value …}} …}, {topic, mark …}}
local runs, held, locks = held_now()
local server = redis.call('HMGET', T .. 'server', 'state', 'epoch', 'change', 'told')
local process = {redis.call('HGET', T .. 'numbers', 'process') or '', held, digest('paused')}
for _, key in ipairs({'ended', 'failed', 'dead', 'due', 'resting'}) do process[#process + 1] = last_of(key) end
process = table.concat(process, ' ')
local marks = {
  'process', process,
  'queue', process .. ' ' .. counts_of('SCARD', 'queues'),
  'session', last_of('sessions') .. ' ' .. last_of('closing') .. ' ' .. counts_of('HLEN', 'asked', 'dropped'),
  'storage', server[3] or '',
  'lock', locks .. ' ' .. counts_of('HLEN', 'waits'),
  'member', counts_of('ZCARD', 'members') .. ' ' .. counts_of('SCARD', 'live', 'leaving', 'drained') .. ' '
    .. counts_of('HLEN', 'codes') .. ' ' .. (server[1] or '') .. ' ' .. (server[2] or ''),
  'hook', newest_of('hook_runs'),
  'event', server[4] or '',
  'backup', digest('backup', 'backup:run'),
  'schedule', plans(),
  'audit', newest_of('audit'),
}
local told, gone, at = {}, 0, newest_of('events')
if ARGV[1] ~= '' and ARGV[1] ~= at then
  told = redis.call('XRANGE', T .. 'events', '(' .. ARGV[1], '+', 'COUNT', ARGV[2])
  local cut = told[#told] and told[#told][1] ~= at
  local known = ARGV[1] == '0-0' or redis.call('XRANGE', T .. 'events', ARGV[1], ARGV[1])[1]
  if cut or not known then gone = 1 end
end
return {string.format('%.0f', now()), runs, at == '' and '0-0' or at, gone, told, marks}
