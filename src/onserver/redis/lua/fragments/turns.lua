-- include: tell_leader
-- What the leader does at a time, besides offering what is due.
--   T .. turns  zset  by ms: 'l:LIMIT', its rate lets the next begin; 'g:GATE', the end of a pause; 'e:N', N must have begun;
--                     'm:', the end of maintenance
local function turn(at, what)
  redis.call('ZADD', T .. 'turns', at, what)
  if redis.call('ZRANGE', T .. 'turns', 0, 0)[1] == what then tell_leader('due') end
end
