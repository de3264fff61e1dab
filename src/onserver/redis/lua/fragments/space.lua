-- The storage of a session: nothing is written into that of one that is over, and its record has the number of its newest
-- change, so that whoever takes the session reads what was written before.
local SESSION
-- nil, or the refusal of a change
local function no_space(space)
  local of = string.match(space, '^ss:(.*):$')
  if not of then return end
  SESSION = T .. 's:' .. of
  local ends = redis.call('HGET', SESSION, 'until')
  if not ends then
    SESSION = T .. 's:' .. (redis.call('HGET', T .. 'rotated', of) or '')
    ends = redis.call('HGET', SESSION, 'until')
  end
  if not ends or (ends ~= '0' and tonumber(ends) <= now()) then return redis.error_reply('ONS 4102 ' .. of) end
end
local function note_space(change) if SESSION then redis.call('HSET', SESSION, 'change', change) end end
