-- include: prefix once claim served
-- flags: allow-oom
-- take_side: a worker takes one side run, in the name of a new holder for the child that it forks. One that leaves while
-- others stay takes only what no other can run: it would have to cut the rest off.
-- Keys: members, workers, leaving, r:QUEUE and line:LINE of '!M' and '!once', p:N, numbers, live, m:M, h:HOLDER,
-- held:HOLDER, once:NONCE.
-- ARGV: nonce, member, code
-- Answer: nothing, or holder, message …
local m, code = ARGV[2], ARGV[3]
local kept = answered(ARGV[1])
if kept then return kept end
if not redis.call('ZSCORE', T .. 'members', m) then return redis.error_reply('FENCED ' .. m) end
look()
CLOSED = 0
local staying = redis.call('SCARD', T .. 'workers') - redis.call('SCARD', T .. 'leaving')
local leaves = staying > 0 and redis.call('SISMEMBER', T .. 'leaving', m) == 1
local n = next_of('!' .. m, code) or not leaves and next_of('!once', code)
if not n then return {} end
local e = m .. '.' .. redis.call('HINCRBY', T .. 'numbers', 'incarnation', 1)
join_living(e)
redis.call('SADD', T .. 'm:' .. m, e)
redis.call('HSET', T .. 'h:' .. e, 'member', m, 'code', '', 'queues', '')
return answer(ARGV[1], {e, unpack(take(n, e))})
