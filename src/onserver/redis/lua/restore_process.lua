-- include: prefix restoring finish unplace
-- flags: allow-oom
-- restore_process: processes are where their records say: in the history, or, of those that lived at the instant of the
-- backup, paused by "restore" until somebody resumes them. What ran then runs again; where it must not, or was a hook or a
-- side run, it is lost. Keys: p:N, name:NAME, id:UUID, hooks:EPOCH, and where processes wait or are kept.
-- ARGV: token, 1 to let them run, keep_failed_s, numbers … Answer: {alive, lost}; nothing when that stage is over
if stage_of(ARGV[1]) ~= 'settling' then return false end
local alive, lost, keep_failed = 0, 0, tonumber(ARGV[3])
local function pause(n)
  if ARGV[2] == '0' and redis.call('HSETNX', T .. 'p:' .. n, 'pz', '1') == 1 then
    redis.call('HSET', T .. 'p:' .. n, 'pb', 'restore')
  end
end
local function revive(n, v)
  local k = T .. 'p:' .. n
  if v.un == '1' then redis.call('SET', T .. 'name:' .. v.n, n) end
  redis.call('HDEL', k, 'o', 'g', 'y', 'ls', 'tk')
  if v.o then redis.call('HSET', k, 'v', 'E' .. (string.gsub(v.v or '', 'E', ''))) end
  local once = v.o and string.find(v.v or '', 'R', 1, true)
  if once or v.hk or not v.q or string.find(v.q, '^[!@]') or v.q == '' then
    lost = lost + 1
    give_up(n, 'lost', keep_failed, {type = 'ProcessLost', number = tonumber(n), worker = 'a restore', at_ms = now()})
    n = v.mb and redis.call('HGET', T .. 'boxes', v.mb)   -- its calls have begun another, which stands in line
    if n and ARGV[2] == '0' then pause(n) unplace(n) wait_again(n, nil, keep_failed) end
    return
  end
  alive = alive + 1
  pause(n)
  wait_again(n, v.y or v.s == 'delayed' and v.du or v.pd, keep_failed)
  if v.s ~= 'queued' or v.o then return end   -- else it has waited before
  if v.qs then redis.call('HSET', k, 'qs', v.qs) else redis.call('HDEL', k, 'qs') end
end
local FIELDS_OF = {'s', 'o', 'f', 'u', 'n', 'un', 'hk', 'q', 'v', 'mb', 'y', 'du', 'pd', 'qs'}
for i = 4, #ARGV do
  local n, v = ARGV[i], {}
  for at, value in ipairs(redis.call('HMGET', T .. 'p:' .. n, unpack(FIELDS_OF))) do v[FIELDS_OF[at]] = value or nil end
  if v.u then redis.call('SET', T .. 'id:' .. v.u, n) end
  if v.s and FINAL[v.s] then
    redis.call('ZADD', T .. HISTORY[v.s], v.f or now(), n)
    local ends = redis.call('PEXPIRETIME', T .. 'p:' .. n)
    if v.u and ends > 0 then redis.call('PEXPIREAT', T .. 'id:' .. v.u, ends) end
  elseif v.s then
    revive(n, v)
  end
end
return {alive, lost}
