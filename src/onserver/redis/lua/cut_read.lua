-- include: prefix contents
-- flags: allow-oom
-- cut_read: what is in some keys, and when they expire; from then on they count as written only if they are again.
-- It stops behind the key with which it has given more than so many bytes. Keys: cut, cut:dirty, cut:copies, cut:c:KEY.
-- ARGV: name of the cut, '' or 'cut:c:' for the copies that `cut_end` made, bytes, keys …
-- Answer: {type, ms when it expires (below 0: never), texts} for each, as many as it read; nothing when the cut was lost
redis = plain()
local copies, bytes, out = ARGV[2] ~= '', 0, {}
local mine = redis.call('GET', T .. 'cut') == ARGV[1]
if copies then mine = string.match(redis.call('HGET', T .. 'cut:copies', '') or '', '^%S+') == ARGV[1] end
if not mine then return false end
for i = 4, #ARGV do
  local k = T .. ARGV[2] .. ARGV[i]
  local expires = copies and redis.call('HGET', T .. 'cut:copies', ARGV[i]) or redis.call('PEXPIRETIME', k)
  local kind, texts = contents(k)
  for _, text in ipairs(texts) do bytes = bytes + #text end
  out[#out + 1] = {kind, tonumber(expires), texts}
  if bytes > tonumber(ARGV[3]) then break end
end
if not copies then redis.call('SREM', T .. 'cut:dirty', unpack(ARGV, 4, 3 + #out)) end
return out
