-- late: frozen freeze
-- While a backup is cut, or a restore puts keys in their place (the key `cut` is there), what stands in the place of
-- `redis` looks at each key before it is written. A command that is not known to read is taken for one that writes.
--   T .. cut        string  who cuts; 10 s, renewed every second. Or 'restore:TOKEN', until that restore has ended
--   T .. cut:dirty  set     keys, without T, that were written since the cut last read them
-- SAVED are the words with which saved keys begin, as in catalogue.py; a test compares them.
local SAVED =
  'server numbers hooks failure users procedures aliases p boxes box call vars log kids key rate paused schedules schedule ' ..
  'note chord group st:e sg:e revoked s sm rc re closing asked dropped drops emptying ss:e'
local READS =
  'COPY EXISTS GET HEXISTS HGET HGETALL HKEYS HLEN HMGET HVALS HSTRLEN INFO LINDEX LLEN LRANGE MEMORY PEXPIRETIME ' ..
  'PTTL PUBLISH SCARD SISMEMBER SMEMBERS SMISMEMBER SRANDMEMBER TIME TYPE XLEN XRANGE XREVRANGE ZCARD ZCOUNT ZRANGE ' ..
  'ZRANK ZSCORE'
local function set_of(words)
  local set = {}
  for word in string.gmatch(words, '%S+') do set[word] = true end
  return set
end
-- `redis`, of which look(first word, first two words, key) is called for each key before it is written
local function looking(plain, look)
  local reads, several, start = set_of(READS), set_of('DEL UNLINK RENAME'), #KEYS[1] + 1
  local function through(call)
    return function(command, ...)
      for i = 1, not reads[command] and (several[command] and select('#', ...) or 1) or 0 do
        local suffix = string.sub(select(i, ...), start)
        local first, second = string.match(suffix, '^([^:]*):?([^:]*)')
        if first == 'ss' then second = string.match(suffix, '^ss:[^:]*:([^:]*)') or '' end   -- ss:ID:e:ENTRY
        look(first, first .. ':' .. second, suffix)
      end
      return call(command, ...)
    end
  end
  return {call = through(plain.call), pcall = through(plain.pcall), error_reply = plain.error_reply}
end
local function marking()
  local plain, saved, dirty = redis, set_of(SAVED), KEYS[1] .. 'cut:dirty'
  local cut = plain.call('GET', KEYS[1] .. 'cut')
  if string.sub(cut, 1, 8) == 'restore:' then return frozen(plain, cut, looking) end
  return looking(plain, function(first, two, suffix)
    if saved[first] or saved[two] then plain.call('SADD', dirty, suffix) end
  end)
end
