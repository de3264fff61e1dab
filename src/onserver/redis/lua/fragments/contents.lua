-- What is in a key, whatever its type.
local READERS = {
  string = function(k) return {redis.call('GET', k)} end,
  hash = function(k) return redis.call('HGETALL', k) end,
  list = function(k) return redis.call('LRANGE', k, 0, -1) end,
  set = function(k) return redis.call('SMEMBERS', k) end,
  zset = function(k) return redis.call('ZRANGE', k, 0, -1, 'WITHSCORES') end,
}
-- type, texts; 'none' and an empty table where there is nothing
local function contents(k)
  local kind = redis.call('TYPE', k).ok
  return kind, READERS[kind] and READERS[kind](k) or {}
end
