-- include: prefix
-- flags: allow-oom
-- register: say which procedures a code has. Keys: code:CODE and sides:CODE (kept while a holder has it, else one hour),
-- procedures, aliases. ARGV: code, then name, description (JSON) for each procedure; a name with '' is runnable but not
-- described, one with '=NAME' is an alias of that procedure, one with '!JSON' a hook, which nobody calls by its name.
-- Answer: how many words were read
local names = {}
for i = 2, #ARGV, 2 do
  local name, said = ARGV[i], ARGV[i + 1]
  redis.call('SADD', T .. 'code:' .. ARGV[1], name)
  local other = string.match(said, '^=(.+)$')
  if string.sub(said, 1, 1) == '!' then
    redis.call('HSET', T .. 'sides:' .. ARGV[1], name, string.sub(said, 2))
  elseif other then
    redis.call('HSET', T .. 'aliases', name, other)
  elseif said ~= '' then
    redis.call('HSET', T .. 'procedures', name, said)
    redis.call('HDEL', T .. 'aliases', name)
  end
end
if redis.call('HEXISTS', T .. 'codes', ARGV[1]) == 0 then
  redis.call('EXPIRE', T .. 'code:' .. ARGV[1], 3600)
  redis.call('EXPIRE', T .. 'sides:' .. ARGV[1], 3600)
end
return #ARGV
