-- include: prefix locks sender changes space
-- flags: function
-- commit: write the changed entries of a block and free its locks: all of it or none.
-- Keys: live, sent:SENDER, numbers, st:l:KEY, st:e:KEY, st:index, journal, and those of lock for the next in line.
-- ARGV: space, owner, nonce, count of locks, then key, ticket of each; then for each entry written
--   put or del, key, value, value as decimal text where it is an int ('' else), version expected ('' any)
-- Answer: {done, change, version of each entry}; or nothing is written and all stays locked:
--   {lost, key, owner now} · {held, key} by another, whose lock has to be waited for · {changed, key, version found}
local space, owner, nonce = ARGV[1], ARGV[2], ARGV[3]
local kept = repeated(nonce) or guard(holder_of(owner)) or no_space(space) or unlogged()
if kept then return kept end
local first, mine, before = 5 + 2 * ARGV[4], {}, {}
for i = 5, first - 1, 2 do
  local l = redis.call('HMGET', T .. space .. 'l:' .. ARGV[i], 't', 'o')
  if l[1] ~= of_ticket(ARGV[i + 1]) then return {'lost', ARGV[i], l[2] or ''} end
  mine[ARGV[i]] = true
end
for i = first, #ARGV, 5 do
  local key, expected = ARGV[i + 1], ARGV[i + 4]
  if not mine[key] then
    local other = lock_now(space .. 'l:' .. key)[1]
    if other and other ~= owner then return {'held', key} end
  end
  local found = expected ~= '' and (redis.call('HGET', T .. space .. 'e:' .. key, 'n') or '0')
  if found and found ~= expected then return {'changed', key, found} end
  before[key] = found
end
local change = next_change()
note_space(change)
local answer = {'done', change}
for i = first, #ARGV, 5 do
  local key, version = ARGV[i + 1], nil
  if ARGV[i] ~= 'put' then
    version = removed(space, key, change)
  elseif ARGV[i + 3] ~= '' and redis.call('HGET', T .. space .. 'e:' .. key, 'k') == 'c' then
    version = changed(space, key, change, owner, before[key], 'v', ARGV[i + 3])
  else
    version = changed(space, key, change, owner, before[key], 'v', ARGV[i + 2], 'k', 'v')
  end
  answer[#answer + 1] = version
end
log_changes(change, owner)
for i = 5, first - 1, 2 do fall(space .. 'l:' .. ARGV[i], ARGV[i + 1]) end
return said(answer)
