-- include: prefix
-- flags: no-writes
-- calls_signed: the signatures of the calls that wait in a mailbox, and of that with which it starts. Keys: boxes, p:N, box:NAME.
-- ARGV: name
-- Answer: {number of its process, {procedure, body, signature, accepted}, …}; nothing where it has none
local n = redis.call('HGET', T .. 'boxes', ARGV[1])
if not n then return {} end
local calls, out = redis.call('LRANGE', T .. 'box:' .. ARGV[1], 0, -1), {tonumber(n)}
calls[#calls + 1] = redis.call('HGET', T .. 'p:' .. n, 'ms') or nil
for _, call in ipairs(calls) do
  local m, f = cmsgpack.unpack(call), {}
  for i = 4, #m, 2 do f[m[i]] = m[i + 1] end
  out[#out + 1] = {f.t or '', f.b or '', f.c or '', m[3]}
end
return out
