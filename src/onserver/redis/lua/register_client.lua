-- include: prefix once
-- late: barred maintenance
-- register_client: a program takes requests under a name, which others may have as well. Keys: live, clients, once:NONCE.
-- ARGV: nonce, holder, name. Answer: 1, or 0 when it is registered already: then nothing is done
local kept = answered(ARGV[1])
if kept then return kept end
local no = guard(ARGV[2]) or barred() if no then return no end
return answer(ARGV[1], redis.call('HSETNX', T .. 'clients', ARGV[2], ARGV[3]))
