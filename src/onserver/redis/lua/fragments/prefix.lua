-- late: marking mark
-- T: the prefix of all keys of this server, `{onserver:NAME}:`. The fragment `now` is part of this one.
-- RARE: whether a backup is cut, a restore goes on, or changes are logged: asked at once, since mostly none of it is so.
-- fenced(holder) -> true when the holder is not, or no longer, among the living.
-- guard(holder) -> nil, or the refusal to answer with. Every script that writes in a holder's name begins so:
--   local no = guard(holder) if no then return no end
local function plain() return redis end
-- each run:
local T = KEYS[1]
local redis = plain()
local RARE = redis.call('EXISTS', T .. 'cut', T .. 'journal') > 0
if RARE and redis.call('EXISTS', T .. 'cut') == 1 then redis = marking() end
-- once:
-- the number of the change of a storage that this run makes
local NEWEST
local function fenced(holder) return redis.call('SISMEMBER', T .. 'live', holder) == 0 end
local function guard(holder)
  if fenced(holder) then return redis.error_reply('FENCED ' .. holder) end
end
