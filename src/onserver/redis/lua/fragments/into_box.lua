-- include: box finish
-- Putting a call into a mailbox, or into a twin.
-- a call goes into a box. n: its process, nil for none yet; idle: that has no call. Answers its number, and whether anybody
-- would take what it runs next
local function into_box(box, n, idle, call, start, keep_failed)
  if call then redis.call('RPUSH', T .. 'box:' .. box, call) end
  if n and not idle then return {tonumber(n), 'ok'} end
  if n then load_call(n, box) else n = begin_box(box, start, start) end
  wait_again(n, nil, keep_failed)
  local q = redis.call('HMGET', T .. 'p:' .. n, 'q', 't')
  return {tonumber(n), served(q[1], known_anywhere(q[2]))}
end
