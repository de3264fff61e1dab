-- Telling what has happened: the feed of events, of which the last 1,000 are kept.
--   T .. events   stream  c code, n name, p payload (values), m member or 0, w who, for people, at ms
--   T .. server   told: the last of them; passed: the last one that the leader has passed on to hooks
-- Codes, names and payloads are those of onserver/life/event_kinds.py. at: when it was, where that is not now.
local function note_event(code, name, payload, m, who, at)
  local id = redis.call('XADD', T .. 'events', 'MAXLEN', '=', 1000, '*', 'c', code, 'n', name, 'p', payload,
    'm', m, 'w', who, 'at', string.format('%.0f', at or now()))
  redis.call('HSET', T .. 'server', 'told', id)
  return id
end
-- the same, of a member: its name is in its record
local function note_of(code, name, payload, m)
  return note_event(code, name, cmsgpack.pack(payload), m, redis.call('HGET', T .. 'member:' .. m, 'node') or '')
end
