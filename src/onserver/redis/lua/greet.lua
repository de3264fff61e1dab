-- include: prefix
-- flags: allow-oom
-- late: note_event event
-- greet: the first words on a new connection. Redis may have forgotten its last second (a crash with everysec, a
-- fail-over): when its run id is not the one that was stored, numbers move on, so that none is given twice; a stop of
-- the embedded Redis in good order left a stamp as its last write, and loses nothing.
-- It is told whether this Redis was up already when the one before last heard a member: then it has taken its place.
-- Keys: server, numbers, events, and onserver:clean-stop (embedded Redis only).
-- ARGV: 60 random bits as 15 hex digits, layout, 1 to write in any case: WAIT counts what its own connection wrote, so
--       on one that wrote nothing it would confirm at once what was sent, and done, on the connection before
-- Answer: {1 when the run id changed, milliseconds of Redis' clock, birth, layout}
local info = redis.call('INFO', 'server')
local run, up = string.match(info, 'run_id:(%x+)'), tonumber(string.match(info, 'uptime_in_seconds:(%d+)'))
local s = T .. 'server'
redis.call('HSETNX', s, 'birth', ARGV[1])
redis.call('HSETNX', s, 'layout', ARGV[2])
local known, changed = redis.call('HGET', s, 'run'), 0
if known ~= run or ARGV[3] == '1' then redis.call('HSET', s, 'run', run) end
if known ~= run then
  if known then
    changed = 1
    if redis.pcall('DEL', 'onserver:clean-stop') ~= 1 then
      for _, of in ipairs({'process', 'member', 'incarnation'}) do
        redis.call('HINCRBY', T .. 'numbers', of, 1000000)
      end
      redis.call('HINCRBY', s, 'change', 1000000)
    end
    local other = now() - up * 1000 < tonumber(redis.call('HGET', s, 'heard') or 0)
    local facts = cmsgpack.pack({run = run, before = known})
    if other then note_event(113, 'redis.failed_over', facts, '0', '')
    else note_event(114, 'redis.restarted', facts, '0', '') end
  end
end
return {changed, now(), redis.call('HGET', s, 'birth'), redis.call('HGET', s, 'layout')}
