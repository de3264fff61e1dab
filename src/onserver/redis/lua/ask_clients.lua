-- include: prefix once offer accept remote
-- ask_clients: put a request behind the others of each client of a name. Keys: clients, cq:HOLDER, asked,
-- re:ID, once:NONCE.
-- ARGV: nonce, holder of the writer or '', made_ms, name ('@' stands for any text), request
-- Answer: how many clients have it
local kept = answered(ARGV[1])
if kept then return kept end
if ARGV[2] ~= '' then local no = guard(ARGV[2]) if no then return no end end
local no = too_old(ARGV[3]) if no then return no end
local pattern = '^' .. string.gsub(string.gsub(ARGV[4], '[^%w@]', '%%%0'), '@', '.*') .. '$'
local count, all = 0, redis.call('HGETALL', T .. 'clients')
for i = 1, #all, 2 do
  if string.match(all[i + 1], pattern) and not fenced(all[i]) then
    redis.call('RPUSH', T .. 'cq:' .. all[i], ARGV[1] .. ' ' .. string.format('%.0f', now()) .. ' ' .. ARGV[5])
    count = count + 1
  end
end
all = redis.call('HGETALL', T .. 'asked')
for i = 1, #all, 2 do
  if string.match(all[i + 1], pattern) and not unusable(all[i]) then
    post_event(all[i], 'request ' .. ARGV[1] .. ' ' .. string.format('%.0f', now()) .. ' ' .. ARGV[5])
    count = count + 1
  end
end
return answer(ARGV[1], count)
