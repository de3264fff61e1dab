-- include: story
-- The times of a schedule, each of which starts one process: `sk` of its fields is the schedule, `st` the time in ms.
-- passed(f) -> nil, or the answer to a start at a time that has been, is not yet, or may not be
local function passed(f)
  if not f.sk or not f.st then return nil end
  local at, v = tonumber(f.st), redis.call('HMGET', T .. 'schedule:' .. f.sk, 'last', 'paused', 'number')
  if not v[1] then return {0, 'gone', 'ok'} end
  if v[2] then return {0, 'paused', 'ok'} end
  if at > now() then return {0, 'early', 'ok'} end
  if at <= tonumber(v[1]) then return {tonumber(v[3] or 0), 'ticked', 'ok'} end
  redis.call('HSET', T .. 'schedule:' .. f.sk, 'last', f.st)
end
-- process n was started for a schedule: at one of its times, or by hand
local function note_start(f, n)
  local k = f.sk and T .. 'schedule:' .. f.sk
  if k and redis.call('EXISTS', k) == 1 then
    redis.call('HSET', k, 'number', n)
    story(f.sk, 's', f.st or '0', n)
  end
end
