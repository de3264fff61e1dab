-- include: prefix offer accept finish
-- flags: allow-oom
-- purge: abort what waits in a queue, up to 100 a call. Keys: q:QUEUE, line:LINE, keys:…, p:N. ARGV: queue, keep_s.
-- Answer: how many
local q, gone = ARGV[1], 0
local function clear(t, key)
  local line = T .. 'line:q ' .. q .. ' ' .. t .. (key ~= '' and ' ' .. key or '')
  local some = redis.call('ZPOPMIN', line, 100 - gone)
  for i = 1, #some, 2 do
    give_up(some[i], 'aborted', ARGV[2], {type = 'ProcessAborted', by = 'purge', message = 'its queue was purged'})
  end
  gone = gone + #some / 2
end
for _, t in ipairs(redis.call('ZRANGE', T .. 'q:' .. q, 0, 99)) do
  local keyed = string.match(t, '^(.*) %*$')
  if keyed then
    for _, key in ipairs(redis.call('ZRANGE', T .. 'keys:q ' .. q .. ' ' .. keyed, 0, 99)) do
      if gone < 100 then clear(keyed, key) end
    end
  elseif gone < 100 then
    clear(t, '')
  end
end
return gone
