-- include: event
-- The event of a process that has failed, died or was lost, written where its end is: once.
local LONGEST = 300
local EVENTS = {failed = 131, dead = 132, lost = 133}
-- type and message of an error value, which begins with them; what follows may be of types that only Python can read
local function error_facts(e)
  local facts = {type = '', message = ''}
  local size = string.byte(e, 1)
  if not size or size < 128 or size > 143 then return facts end
  local at, count = 1, 0
  while count < math.min(size - 128, 3) and at >= 0 and at < #e do
    local good, next_at, name, value = pcall(cmsgpack.unpack_limit, e, 2, at)
    if not good then break end
    if facts[name] then facts[name] = tostring(value) end
    at, count = next_at, count + 1
  end
  return facts
end
local function cut(text)
  if #text <= LONGEST then return text end
  return (string.gsub(string.sub(text, 1, LONGEST), '[\192-\255][\128-\191]*$', '')) .. '…'
end
local function note_mishap(n, state)
  local v = redis.call('HMGET', T .. 'p:' .. n, 't', 'q', 'e', 'v', 'l', 'o', 'n')
  if string.sub(v[1] or '', 1, 9) == 'onserver.' then return end   -- of our own: it tells what came of it by itself
  local facts = error_facts(v[3] or '')
  if string.find(v[4] or '', 'D', 1, true) then facts.message = '' end   -- its arguments are not to be shown: they may be in it
  local m = string.match(v[5] or v[6] or '', '^%d+') or '0'
  local payload = {number = tonumber(n), procedure = v[1] or '', queue = v[2] or '', name = v[7] or '',
    error = facts.type, message = cut(facts.message)}
  note_of(EVENTS[state], 'process.' .. state, payload, m)
end
