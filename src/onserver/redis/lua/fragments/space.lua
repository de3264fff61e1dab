-- The storage of a session: nothing is written into that of one that is over, and its record has the number of its newest
-- change, so that whoever takes the session reads what was written before.
local SESSION
-- nil, or the refusal of a change
local function no_space(space)
  local of = string.match(space, '^ss:(.*):$')
  if not of then return end
  SESSION = T .. 's:' .. of
  if redis.call('EXISTS', SESSION) == 1 then return end
  local now_it_is = redis.call('HGET', T .. 'rotated', of)
  if not now_it_is then return redis.error_reply('ONS 4102 ' .. of) end
  SESSION = T .. 's:' .. now_it_is
end
local function note_space(change) if SESSION then redis.call('HSET', SESSION, 'change', change) end end
