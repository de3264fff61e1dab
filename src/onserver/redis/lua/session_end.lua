-- include: prefix once session_ends
-- flags: allow-oom
-- session_end: end sessions before their time; that of procedures ends with its epoch.
-- Keys: s:ID, dropped, drops, su:LOGIN and all that goes with a session.
-- ARGV: nonce, tombstone (JSON without its time; '' none: what they asked for runs on), key of a user whose sessions are
-- to end ('' none), id …
-- Answer: {how many the user still has: call again until 0, the ids of those that have ended, …}
local kept = answered(ARGV[1])
if kept then return kept end
local mine, ids, ended = T .. 'su:' .. ARGV[3], {unpack(ARGV, 4)}, {0}
if ARGV[3] ~= '' then ids = redis.call('SRANDMEMBER', mine, 20) end
for _, id in ipairs(ids) do
  local kind = redis.call('HGET', T .. 's:' .. id, 'kind')
  local ends = kind and kind ~= 'storedProcedure'
  if ends and there(id) then
    ended[#ended + 1] = id
    if kind ~= 'remote' then entomb(id, ARGV[2]) end
  end
  if kind == 'remote' then
    if begin_end(id, ARGV[2] ~= '' and 'dropped' or 'closed', ARGV[2]) == false then redis.call('SREM', mine, id) end
  elseif ends then
    end_session(id)
  end
end
emptied()
if ARGV[3] ~= '' then ended[1] = redis.call('SCARD', mine) end
return answer(ARGV[1], ended)
