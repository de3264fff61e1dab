-- Is there a process already that stands for this start? Its answer {number, how, 'ok'}, or nil. f: the fields of the start.
-- by its key, by its unique name, by its id: what is held under that is queued again for a retry once it is released
local function present(f, key, name, uuid, retry, due)
  local n = key ~= '' and redis.call('GET', T .. 'key:' .. key)
  local v = n and redis.call('HMGET', T .. 'p:' .. n, 't', 'b')
  if v and v[1] then return {tonumber(n), v[1] == f.t and v[2] == f.b and 'key' or 'other', 'ok'} end
  n = name ~= '' and redis.call('GET', T .. 'name:' .. name)
  if n then return {tonumber(n), 'live', 'ok'} end
  n = uuid ~= '' and (string.match(uuid, '^#(%d+)$') or redis.call('GET', T .. 'id:' .. uuid))
  v = n and redis.call('HMGET', T .. 'p:' .. n, 's', 'o', 'v')
  if not (v and v[1]) then return nil end
  local again = v[2] and retry == '+'
  if again then redis.call('HSET', T .. 'p:' .. n, 'y', due, 'a', now(), unpack(ARGV, 12)) end
  if again and v[3] then redis.call('HSET', T .. 'p:' .. n, 'v', v[3]) end
  return {tonumber(n), again and 'again' or 'same', 'ok'}
end
