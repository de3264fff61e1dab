-- include: prefix once offer accept remote
-- flags: allow-oom
-- remote_closing: a connection ends: the process that tells the hooks is made. It has a root, so that it runs in every
-- state of the server. Keys: s:ID, rc:ID, numbers, p:N, r:QUEUE, line:LINE.
-- ARGV: nonce, holder of the writer or '', made_ms, id, number of the connection, queue, then field, value … of its record
-- Answer: number of the process, 0 when there is no such connection, or it was not accepted
local id, c, q = ARGV[4], ARGV[5], ARGV[6]
local kept = answered(ARGV[1])
if kept then return kept end
if ARGV[2] ~= '' then local no = guard(ARGV[2]) if no then return no end end
local no = too_old(ARGV[3]) if no then return no end
local state, at, what, name = connection_of(id, c)
if state == 'closing' then
  local s = redis.call('HGET', T .. 'p:' .. what, 's')
  if s and s ~= 'failed' and s ~= 'aborted' and s ~= 'lost' and s ~= 'dead' then return tonumber(what) end
  end_connection(id, c)   -- it was told as often as a process is tried
  emptied()
end
if state ~= 'open' then return 0 end
owned_in(ARGV, 7, #ARGV, ARGV[1])
local n = redis.call('HINCRBY', T .. 'numbers', 'process', 1)
local z = score(5, n)
redis.call('HSET', T .. 'p:' .. n, 's', 'queued', 'q', q, 'z', z, 'a', now(), 'x', n, unpack(ARGV, 7))
set_connection(id, c, 'closing', at, n, name)
offer(n, q, z, redis.call('HGET', T .. 'p:' .. n, 't'), 'x')
return answer(ARGV[1], n)
