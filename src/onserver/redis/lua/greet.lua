-- include: prefix
-- flags: allow-oom
-- greet: the first words on a new connection. Redis may have forgotten its last second (a crash with everysec, a
-- fail-over): when its run id is not the one that was stored, numbers move on, so that none is given twice; a stop of
-- the embedded Redis in good order left a stamp as its last write, and loses nothing.
-- Keys: server, numbers, and onserver:clean-stop (embedded Redis only).
-- ARGV: 60 random bits as 15 hex digits, layout, 1 to write in any case: WAIT counts what its own connection wrote, so
--       on one that wrote nothing it would confirm at once what was sent, and done, on the connection before
-- Answer: {1 when the run id changed, milliseconds of Redis' clock, birth, layout}
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
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
  end
end
return {changed, now(), redis.call('HGET', s, 'birth'), redis.call('HGET', s, 'layout')}
