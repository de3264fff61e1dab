-- include: prefix remote
-- flags: allow-oom
-- remote_stop: the server is about to stop: clients are told so, and then their sessions end.
-- Keys: server, sk:remote, s:ID, rc:ID, re:ID and all that goes with a session.
-- ARGV: 1 they end, 0 they are told. Answer: how many sessions of clients are there still: call again until 0
if redis.call('HGET', T .. 'server', 'state') ~= 'stopping' then return 0 end
local done = 0
for _, id in ipairs(redis.call('ZRANGE', T .. 'sk:remote', 0, -1)) do
  local s = T .. 's:' .. id
  if ARGV[1] == '1' and redis.call('HGET', s, 'state') ~= 'closing' then
    begin_end(id, 'stopped', '')
    done = done + 1
  elseif ARGV[1] == '0' and redis.call('HSETNX', s, 'warned', '1') == 1 then
    post_event(id, 'stopping')
    done = done + 1
  end
  if done >= 100 then break end
end
emptied()
return redis.call('ZCARD', T .. 'sk:remote')
