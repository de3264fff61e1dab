-- include: prefix once served
-- flags: allow-oom
-- enlist: a new holder of a member: one life of one executor, or what a client holds things in.
-- Keys: numbers, live, m:M, h:HOLDER, serve:QUEUE, codes, code:CODE, sides:CODE.
-- ARGV: nonce, member, code ('' for what runs no processes), how many it runs at a time, queues …
-- Answer: the holder, "member.incarnation"
local kept = answered(ARGV[1])
if kept then return kept end
if not redis.call('ZSCORE', T .. 'members', ARGV[2]) then return redis.error_reply('FENCED ' .. ARGV[2]) end
local e = ARGV[2] .. '.' .. redis.call('HINCRBY', T .. 'numbers', 'incarnation', 1)
local code = ARGV[3]
join_living(e)
redis.call('SADD', T .. 'm:' .. ARGV[2], e)
redis.call('HSET', T .. 'h:' .. e, 'member', ARGV[2], 'code', code, 'queues', table.concat(ARGV, ' ', 5))
if ARGV[4] ~= '1' then redis.call('HSET', T .. 'h:' .. e, 'places', ARGV[4]) end
for i = 5, #ARGV do serve_too(e, ARGV[i]) end
if code ~= '' then
  redis.call('HINCRBY', T .. 'codes', code, 1)
  write_codes()
  redis.call('PERSIST', T .. 'code:' .. code)
  redis.call('PERSIST', T .. 'sides:' .. code)
end
return answer(ARGV[1], e)
