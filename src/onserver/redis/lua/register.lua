-- include: prefix
-- register: say which procedures a code has. Keys: code:CODE (kept while a holder has it, else one hour), procedures.
-- ARGV: code, then name, description (JSON) for each procedure; a name with '' is runnable but not described
-- Answer: how many words were read
local names = {}
for i = 2, #ARGV, 2 do
  redis.call('SADD', T .. 'code:' .. ARGV[1], ARGV[i])
  if ARGV[i + 1] ~= '' then redis.call('HSET', T .. 'procedures', ARGV[i], ARGV[i + 1]) end
end
if redis.call('HEXISTS', T .. 'codes', ARGV[1]) == 0 then redis.call('EXPIRE', T .. 'code:' .. ARGV[1], 3600) end
return #ARGV
