-- nil, or the refusal of a change of the storage of a session that is over
local function no_space(space)
  local of = string.match(space, '^ss:(.*):$')
  if of and redis.call('EXISTS', T .. 's:' .. of) == 0 and redis.call('HEXISTS', T .. 'rotated', of) == 0 then
    return redis.error_reply('ONS 4102 ' .. of)
  end
end
