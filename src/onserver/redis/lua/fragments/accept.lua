-- include: turns
-- The making of a process record.
-- a signature is good for 30 s from its making; a nonce is kept longer, so a copied message starts nothing
local function too_old(made)
  local age = now() - tonumber(made)
  if age > 30000 or age < -30000 then
    return redis.error_reply('ONS 4106 age ' .. string.format('%d', age) .. ' ms')
  end
end
-- A signature is good for the message whose nonce stands in it, and for no other: whatever else somebody sends it with
-- becomes a record all the same, which tells so when it is verified (as `signing` has it).
local function owned(signed, nonce)
  local head = (#nonce < 32 and string.char(160 + #nonce) or string.char(217, #nonce % 256)) .. nonce
  return string.sub(signed, 2, 1 + #head) == head and signed or 'copied:' .. signed
end
-- the same in a list of words: field, value … from i to last
local function owned_in(words, i, last, nonce)
  for at = i, last, 2 do
    if words[at] == 'c' then words[at + 1] = owned(words[at + 1], nonce) end
  end
end
local function score(priority, n) return string.format('%.0f', (9 - tonumber(priority)) * 17592186044416 + n) end
-- Is there anybody? ok | noqueue: no worker listens on q | noproc: none of them has t
local function served(q, known)
  local there = SERVED == q or redis.call('EXISTS', T .. 'serve:' .. q) == 1
  return not there and 'noqueue' or known and 'ok' or 'noproc'
end
-- n waits for its time; the leader is told when nobody is due earlier
local function delay(n, due)
  local first = redis.call('ZRANGE', T .. 'due', 0, 0, 'WITHSCORES')
  redis.call('HSET', T .. 'p:' .. n, 's', 'delayed', 'du', due)
  redis.call('ZADD', T .. 'due', due, n)
  if not first[1] or tonumber(first[2]) > tonumber(due) then tell_leader('due') end
end
local function known_anywhere(t)
  for _, code in ipairs(codes()) do
    if redis.call('SISMEMBER', T .. 'code:' .. code, t) == 1 then return true end
  end
  return false
end
-- the id that somebody else gave it names n; whoever has waited for that id (the end of a chain) waits for n now
local function name_id(n, uuid)
  redis.call('HSET', T .. 'p:' .. n, 'u', uuid)
  redis.call('SET', T .. 'id:' .. uuid, n)
  if redis.call('EXISTS', T .. 'wu:' .. uuid) == 1 then
    redis.call('RENAME', T .. 'wu:' .. uuid, T .. 'w:' .. n)
    redis.call('EXPIRE', T .. 'w:' .. n, 86400)
    redis.call('HSET', T .. 'p:' .. n, 'w', '1')
  end
end
