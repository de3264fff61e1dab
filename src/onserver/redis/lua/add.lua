-- include: prefix sender changes space
-- add: add to a counter, made at its first use. Waits for no lock.
-- Keys: live, sent:SENDER, numbers, st:e:KEY, st:index, journal.
-- ARGV: space, key, holder ('' outside of runs), nonce, how much
-- Answer: {done, value as text, version, change}, or {kind} when the entry is no counter
local space, key, holder = ARGV[1], ARGV[2], ARGV[3]
local kept = repeated(ARGV[4]) or (holder ~= '' and guard(holder)) or no_space(space) or unlogged()
if kept then return kept end
local e = T .. space .. 'e:' .. key
local kind = redis.call('HGET', e, 'k')
if kind and kind ~= 'c' then return {'kind'} end
redis.call('HINCRBY', e, 'v', ARGV[5])
if not kind then redis.call('HSET', e, 'k', 'c') end
local change = next_change()
note_space(change)
local version = changed(space, key, change, holder)
log_changes(change, holder)
return said(ARGV[4], {'done', redis.call('HGET', e, 'v'), version, change})
