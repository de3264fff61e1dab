-- include: prefix serving
-- flags: allow-oom
-- set_limits: what a worker's code and settings say of limits; the newest word counts. What runs is counted, and what
-- was closed is looked at anew. Keys: limits, server, slots:LIMIT, closed, live, held:HOLDER, p:N, those of `offer`.
-- ARGV: member, when this was said first or '' for now, then 'p:PROCEDURE' or 'q:QUEUE', its rule ('' for none) …; a queue
-- that is not named has none. Answer: when it was said, ms. A word older than the last one changes nothing
if not redis.call('ZSCORE', T .. 'members', ARGV[1]) then return redis.error_reply('FENCED ' .. ARGV[1]) end
local said = ARGV[2] == '' and now() or tonumber(ARGV[2])
local last, by = string.match(redis.call('HGET', T .. 'server', 'limited') or '', '^(%d+) (%d+)$')
if last and tonumber(last) > said and by ~= ARGV[1] then return said end
redis.call('HSET', T .. 'server', 'limited', string.format('%.0f ', said) .. ARGV[1])
local named, changed = {}, 0
local function set(field, rule)
  if (redis.call('HGET', T .. 'limits', field) or '') == rule then return end
  changed = changed + 1
  if rule == '' then redis.call('HDEL', T .. 'limits', field) else redis.call('HSET', T .. 'limits', field, rule) end
end
for i = 3, #ARGV, 2 do
  named[ARGV[i]] = true
  set(ARGV[i], ARGV[i + 1])
end
for _, field in ipairs(redis.call('HKEYS', T .. 'limits')) do
  if string.sub(field, 1, 2) == 'q:' and not named[field] then set(field, '') end
end
if changed == 0 then return said end
local any = redis.call('EXISTS', T .. 'limits') == 1
if any then redis.call('HSET', T .. 'server', 'limits', '1') else redis.call('HDEL', T .. 'server', 'limits') end
for _, e in ipairs(redis.call('SMEMBERS', T .. 'live')) do
  for _, n in ipairs(redis.call('LRANGE', T .. 'held:' .. e, 0, -1)) do count_running(n) end
end
for _, one in ipairs(redis.call('ZRANGE', T .. 'closed', 0, -1)) do reopen(string.match(one, '^[^\n]+')) end
serve_all()
return said
