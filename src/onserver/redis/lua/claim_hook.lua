-- include: prefix taking
-- flags: allow-oom
-- claim_hook: run one hook of an epoch once in the cluster: it is a process, and its record says who runs it.
-- Keys: server, hooks:EPOCH (kept 30 days), numbers, p:N, held:HOLDER, live.
-- ARGV: holder, epoch, hook, then field, value … of the record
-- Answer: {over} | {ok, n} | {failed, n} | {busy, n} | {mine, message …}
local e, epoch, hook = ARGV[1], ARGV[2], ARGV[3]
local no = guard(e) if no then return no end
if redis.call('HGET', T .. 'server', 'epoch') ~= epoch then return {'over'} end
local hooks = T .. 'hooks:' .. epoch
local stand = redis.call('HGET', hooks, hook)
local outcome, n = string.match(stand or '', '^(%a+) (%d+)$')
if outcome then return {outcome, tonumber(n)} end
n = stand
if n then
  local o = redis.call('HGET', T .. 'p:' .. n, 'o')
  if o and o ~= e then return {'busy', tonumber(n)} end
  if o then return {'mine', unpack(message(n))} end
else
  n = tostring(redis.call('HINCRBY', T .. 'numbers', 'process', 1))
  redis.call('HSET', T .. 'p:' .. n, 'a', now(), 'x', n, 'q', '', 'z', '0', 'hk', epoch .. ' ' .. hook, unpack(ARGV, 4))
  redis.call('HSET', hooks, hook, n)
  redis.call('EXPIRE', hooks, 2592000)
end
return {'mine', unpack(take(n, e))}
