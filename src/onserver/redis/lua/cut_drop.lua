-- include: prefix
-- flags: allow-oom
-- cut_drop: a cut is done with, or given up: what it has left is removed, unless another cuts now.
-- Keys: cut, cut:dirty, cut:copies, cut:c:KEY. ARGV: name of the cut. Answer: how many copies it had
local cutting, cut = redis.call('GET', T .. 'cut'), string.match(redis.call('HGET', T .. 'cut:copies', '') or '', '^%S+')
if cutting == ARGV[1] then redis.call('DEL', T .. 'cut', T .. 'cut:dirty') end
if cut ~= ARGV[1] then return 0 end
local keys = redis.call('HKEYS', T .. 'cut:copies')
for _, key in ipairs(keys) do redis.call('UNLINK', T .. 'cut:c:' .. key) end
redis.call('UNLINK', T .. 'cut:copies')
return #keys - 1
