-- include: prefix
-- flags: no-writes
-- read_log: the last lines that are kept of a process. Keys: log:N, p:N. ARGV: number, how many at most
-- Answer: {its state, when it ended or '', how many lines it has written in all, {line …}}; nil for an unknown process
local v = redis.call('HMGET', T .. 'p:' .. ARGV[1], 's', 'f', 'ln')
if not v[1] then return false end
return {v[1], v[2] or '', v[3] or '0', redis.call('LRANGE', T .. 'log:' .. ARGV[1], -tonumber(ARGV[2]), -1)}
