-- include: prefix counted
-- flags: allow-oom
-- trim: drop the oldest of the history, up to 100 of each kind a call. Keys: ended, failed, dead, p:N, vars:N, log:N, kids:N,
-- id:UUID, series:left.
-- ARGV: how many are kept of each kind, keep_s (of those that ended well), keep_failed_s (of all others)
-- Answer: 1 when there is more to drop
local kept, more, left = tonumber(ARGV[1]), 0, {}
if redis.restoring then return 0 end
local function trim(kind, seconds)
  local over, gone = redis.call('ZCARD', T .. kind) - kept, nil
  if over > 0 then
    gone = redis.call('ZRANGE', T .. kind, 0, math.min(over, 100) - 1)
  else
    gone = redis.call('ZRANGE', T .. kind, '-inf', now() - tonumber(seconds) * 1000, 'BYSCORE', 'LIMIT', 0, 100)
  end
  for _, n in ipairs(gone) do
    local v = redis.call('HMGET', T .. 'p:' .. n, 'f', 'u', 's')
    leaves(left, kind, n, v[3])
    redis.call('ZREM', T .. kind, n)
    if v[1] then
      redis.call('DEL', T .. 'p:' .. n, T .. 'vars:' .. n, T .. 'log:' .. n, T .. 'kids:' .. n)
      if v[2] then redis.call('DEL', T .. 'id:' .. v[2]) end
    end
  end
  if #gone == 100 or over > 0 then more = 1 end
end
trim('ended', ARGV[2])
trim('failed', ARGV[3])
trim('dead', ARGV[3])
note_left(left)
return more
