-- What is sent twice is done once: the answer of a one-trip write is kept for 60 s beside its nonce ('' keeps nothing).
local function answered(nonce)
  local kept = nonce ~= '' and redis.call('GET', T .. 'once:' .. nonce)
  return kept and cmsgpack.unpack(kept)
end
-- both at once, in what cannot fail from there on: keeps what will be the answer, or returns the one that was kept
local function answered_before(nonce, value)
  local kept = nonce ~= '' and redis.call('SET', T .. 'once:' .. nonce, cmsgpack.pack(value), 'NX', 'GET', 'EX', 60)
  return kept and cmsgpack.unpack(kept)
end
local function answer(nonce, value)
  if nonce ~= '' then redis.call('SET', T .. 'once:' .. nonce, cmsgpack.pack(value), 'EX', 60) end
  return value
end
