-- include: prefix
-- flags: allow-oom
-- watch_call: be told of the end of a call of a remote client, or hear at once that it has ended. Keys: call:ID, cw:ID (60 s
-- after the last look). ARGV: id, id of its session, "CLIENT TOKEN" of the inbox
-- Answer: {how it ended, result or error}; {gone, ''} for one that is unknown, or of another session; else nil
local v = redis.call('HMGET', T .. 'call:' .. ARGV[1], 'session', 's', 'r')
if v[1] ~= ARGV[2] then return {'gone', ''} end
if v[2] ~= 'queued' then return {v[2], v[3] or ''} end
redis.call('SADD', T .. 'cw:' .. ARGV[1], ARGV[3])
redis.call('PEXPIRE', T .. 'cw:' .. ARGV[1], 60000)
return false
