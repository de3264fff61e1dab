-- include: prefix once tell_leader event
-- flags: allow-oom
-- tell_events: a program says what has happened. Keys: events, server, members, marks, told:WHAT, once:NONCE.
-- ARGV: nonce, member or 0, who ('' as its record says), then for each: code, name, payload, ms since it happened, and when it counts:
--       '' always; 'leads' if the member leads; '&' if the one before did; 'window MS WHAT' unless WHAT was told within MS;
--       'over WHAT', 'under WHAT' if WHAT was not so before; 'outage' if it is none that others have told
-- Answer: for each its id, '' where it did not count
local kept = answered(ARGV[1])
if kept then return kept end
local m, s, out, counts, any = ARGV[2], T .. 'server', {}, false, false
if m ~= '0' and not redis.call('ZSCORE', T .. 'members', m) then return redis.error_reply('FENCED ' .. m) end
local before = redis.call('HMGET', s, 'told', 'passed')
local who = ARGV[3] ~= '' and ARGV[3] or redis.call('HGET', T .. 'member:' .. m, 'node') or ''
local function is_news(how, at)
  local word, rest = string.match(how, '^(%S*) ?(.*)$')
  if word == 'leads' then return redis.call('HGET', s, 'leader') == m end
  if word == '&' then return counts end
  if word == 'over' then return redis.call('HSETNX', T .. 'marks', rest, '1') == 1 end
  if word == 'under' then return redis.call('HDEL', T .. 'marks', rest) == 1 end
  if word == 'window' then
    local ms, what = string.match(rest, '^(%d+) (.*)$')
    return redis.call('SET', T .. 'told:' .. what, '1', 'PX', ms, 'NX') and true
  end
  if word == 'outage' then
    local until_then = tonumber(redis.call('HGET', s, 'outage') or 0)
    redis.call('HSET', s, 'outage', string.format('%.0f', math.max(until_then, now())))
    return at > until_then
  end
  return true
end
for i = 4, #ARGV, 5 do
  local at = now() - tonumber(ARGV[i + 3])
  counts = is_news(ARGV[i + 4], at)
  any = any or counts
  out[#out + 1] = counts and note_event(ARGV[i], ARGV[i + 1], ARGV[i + 2], m, who, at) or ''
end
if any and before[1] == before[2] then tell_leader('events') end   -- else it has been told, and has not looked yet
return answer(ARGV[1], out)
