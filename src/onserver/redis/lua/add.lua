-- include: prefix sender changes space
-- flags: function
-- add: add to a counter, made at its first use. Waits for no lock.
-- Keys: live, sent:SENDER, numbers, st:e:KEY, st:index, journal.
-- ARGV: space, key, holder ('' outside of runs), nonce, how much
-- Answer: {done, value as text, version, change}, or {kind} when the entry is no counter
local space, key, holder = ARGV[1], ARGV[2], ARGV[3]
local kept = repeated(ARGV[4]) or (holder ~= '' and guard(holder)) or no_space(space) or unlogged()
if kept then return kept end
local e = T .. space .. 'e:' .. key
local v = redis.call('HMGET', e, 'k', 'n')
if v[1] and v[1] ~= 'c' then return {'kind'} end
local value = redis.call('HINCRBY', e, 'v', ARGV[5])
if not v[1] then redis.call('HSET', e, 'k', 'c') end
local change = next_change()
note_space(change)
local version = changed(space, key, change, holder, v[2] or '0')
log_changes(change, holder)
-- a number of Lua is exact up to 2^53
local text = math.abs(value) < 9007199254740992 and string.format('%.0f', value) or redis.call('HGET', e, 'v')
return said(ARGV[4], {'done', text, version, change})
