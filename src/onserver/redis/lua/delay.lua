-- include: prefix once offer accept
-- flags: allow-oom
-- delay: how long a process that sleeps, or waits for its time, still does so from now on. Keys: p:N, sl:N, due, and the
-- queues of `offer`, once:NONCE. ARGV: nonce, number, ms (0: no longer)
-- Answer: 1 when it slept or was delayed, else 0
local kept = answered(ARGV[1])
if kept then return kept end
local n, ms, found = ARGV[2], tonumber(ARGV[3]), 0
local at = ms > 0 and now() + ms or 0
local v = redis.call('HMGET', T .. 'p:' .. n, 's', 'q', 'z', 't', 'x')
if v[1] == 'delayed' then
  redis.call('ZREM', T .. 'due', n)
  found = 1
  if ms > 0 then
    delay(n, at)
  else
    redis.call('HSET', T .. 'p:' .. n, 's', 'queued', 'qs', now())
    offer(n, v[2], v[3], v[4], v[5] or '')
  end
end
local sleepers = T .. 'sl:' .. n
local all = redis.call('HGETALL', sleepers)
for i = 1, #all, 2 do
  local serial, till, client, token = string.match(all[i + 1], '^(%d+) (%d+) (%S+) (%S+)$')
  if serial and till ~= '0' then
    found = 1
    serial = tonumber(serial) + 1
    redis.call('HSET', sleepers, all[i], string.format('%d %.0f %s %s', serial, at, client, token))
    if redis.call('PTTL', sleepers) < ms + 60000 then redis.call('PEXPIRE', sleepers, ms + 60000) end
    redis.call('PUBLISH', T .. 'c:' .. client, string.format('%s %s moved %d %.0f', token, n, serial, ms))
  end
end
return answer(ARGV[1], found)
