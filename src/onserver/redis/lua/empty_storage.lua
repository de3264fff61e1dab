-- include: prefix changes
-- flags: allow-oom
-- empty_storage: remove entries of a storage, a chunk at a time. Keys: server, numbers, st:index, st:e:KEY, journal.
-- ARGV: space, how many at most, epoch that was opened with `emptying` ('' to empty in any case)
-- Answer: how many entries are left: call again until 0
local index = T .. ARGV[1] .. 'index'
if ARGV[3] ~= '' then
  local s = redis.call('HMGET', T .. 'server', 'epoch', 'emptying')
  if s[1] ~= ARGV[3] or s[2] ~= '1' then return 0 end
end
local keys = redis.call('SRANDMEMBER', index, ARGV[2])
if #keys > 0 then
  unlogged()   -- it empties a storage also where too much waits to be logged: that is only put behind it
  local change = next_change()
  for _, key in ipairs(keys) do removed(ARGV[1], key, change) end
  log_changes(change, '')
end
return redis.call('SCARD', index)
