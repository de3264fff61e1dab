-- include: prefix sender changes space
-- flags: function
-- add: add to a counter, made at its first use. Waits for no lock.
-- Keys: live, sent:SENDER, numbers, st:e:KEY, st:index, journal.
-- ARGV: space, key, holder ('' outside of runs), nonce, how much
-- Answer: {done, value as text, version, change}, or {kind} when the entry is no counter
local EXACT = 9007199254740992   -- 2^53: up to here each whole number is one of Lua's
local space, key, holder = ARGV[1], ARGV[2], ARGV[3]
local kept = repeated(ARGV[4]) or (holder ~= '' and guard(holder)) or no_space(space) or unlogged()
if kept then return kept end
local v = redis.call('HMGET', T .. space .. 'e:' .. key, 'k', 'n', 'v')
if v[1] and v[1] ~= 'c' then return {'kind'} end
local before, amount, text = tonumber(v[3] or 0), tonumber(ARGV[5]), nil
if math.abs(before) < EXACT and math.abs(amount) < EXACT and math.abs(before + amount) < EXACT then
  text = string.format('%.0f', before + amount)
else
  redis.call('HINCRBY', T .. space .. 'e:' .. key, 'v', ARGV[5])
  text = redis.call('HGET', T .. space .. 'e:' .. key, 'v')
end
local change = next_change()
note_space(change)
local version = changed(space, key, change, holder, v[2] or '0', 'v', text, 'k', 'c')
log_changes(change, holder)
return said({'done', text, version, change})
