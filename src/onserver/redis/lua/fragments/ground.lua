-- late: marking mark
-- What every script stands on. The fragment `now` is part of this one.
-- T: the prefix of all keys of this server, `{onserver:NAME}:`.
-- heed(hint): before anything is written. hint is the field `rare` of `server`, which is there as long as the keys `cut`
-- or `journal` are, or longer.
-- RARE: whether a backup is cut, a restore goes on, or changes are logged: mostly none of it is so.
-- fenced(holder) -> true when the holder is not, or no longer, among the living.
-- guard(holder) -> nil, or the refusal to answer with. Every script that writes in a holder's name begins so:
--   local no = guard(holder) if no then return no end
-- The field e:HOLDER of `server` is there as long as the holder is among the living, for who looks there anyway.
local function plain() return redis end
-- each run:
local T = KEYS[1]
local redis = plain()
-- once:
local RARE
-- the number of the change of a storage that this run makes
local NEWEST
local function heed(hint)
  RARE = hint and redis.call('EXISTS', T .. 'cut', T .. 'journal') > 0
  if RARE and redis.call('EXISTS', T .. 'cut') == 1 then redis = marking() end
end
local function fenced(holder) return redis.call('SISMEMBER', T .. 'live', holder) == 0 end
local function guard(holder)
  if fenced(holder) then return redis.error_reply('FENCED ' .. holder) end
end
