-- While a backup is cut (the key `cut` is there), every script notes which keys it writes, of those that a backup has.
--   T .. cut        string  who cuts; 10 s, renewed every second
--   T .. cut:dirty  set     keys, without T, that were written since the cut last read them
-- marking() -> what stands in the place of `redis`. A command that is not known to read is taken for one that writes.
-- SAVED are the words with which saved keys begin, as in keys.py; a test compares them.
local function marking()
  local plain, T, SAVED, READS = redis, KEYS[1], {}, {}
  for word in string.gmatch(
    'server numbers hooks failure procedures aliases p boxes box vars log key rate paused schedules schedule note ' ..
    'chord group st:e sg:e', '%S+') do SAVED[word] = true end
  for word in string.gmatch(
    'COPY EXISTS GET HEXISTS HGET HGETALL HKEYS HLEN HMGET HVALS HSTRLEN INFO LINDEX LLEN LRANGE MEMORY ' ..
    'PEXPIRETIME PTTL PUBLISH SCARD SISMEMBER SMEMBERS SMISMEMBER SRANDMEMBER TIME TYPE XLEN XRANGE XREVRANGE ZCARD ZCOUNT ZRANGE ' ..
    'ZRANK ZSCORE', '%S+') do READS[word] = true end
  local SEVERAL = {DEL = true, UNLINK = true, RENAME = true}
  local function mark(command, ...)
    for i = 1, SEVERAL[command] and select('#', ...) or 1 do
      local suffix = string.sub(select(i, ...), #T + 1)
      local first, second = string.match(suffix, '^([^:]*):?([^:]*)')
      if SAVED[first] or SAVED[first .. ':' .. second] then plain.call('SADD', T .. 'cut:dirty', suffix) end
    end
  end
  local function through(call)
    return function(command, ...)
      if not READS[command] then mark(command, ...) end
      return call(command, ...)
    end
  end
  return {call = through(plain.call), pcall = through(plain.pcall), error_reply = plain.error_reply}
end
