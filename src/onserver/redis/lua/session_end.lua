-- include: prefix once session
-- flags: allow-oom
-- session_end: end sessions before their time. Keys: s:ID, dropped, drops, su:LOGIN and all that goes with a session.
-- ARGV: nonce, tombstone (JSON without its time; '' for none: what they asked for runs on), key of a user whose sessions are to end ('' none), id …
-- Answer: the ids of those that have ended, 20 of a user at most: call again until there are none
local kept = answered(ARGV[1])
if kept then return kept end
local ids, ended = {unpack(ARGV, 4)}, {}
if ARGV[3] ~= '' then ids = redis.call('SRANDMEMBER', T .. 'su:' .. ARGV[3], 20) end
for _, id in ipairs(ids) do
  local earlier = redis.call('HGET', T .. 's:' .. id, 'earlier')
  if there(id) then
    ended[#ended + 1] = id
    for one in string.gmatch(ARGV[2] ~= '' and id .. ' ' .. (earlier or '') or '', '%S+') do
      redis.call('HSET', T .. 'dropped', one, '{"at":' .. stamp() .. ',' .. string.sub(ARGV[2], 2))
      redis.call('ZADD', T .. 'drops', stamp(), one)
    end
  end
  end_session(id)
end
emptied()
return answer(ARGV[1], ended)
