-- include: prefix signals
-- wait_signal: be told when a signal is triggered, or hear at once that it was. Keys: sg:e:NAME, sg:q:NAME, locks:HOLDER,
-- waits, p:N. ARGV: name, ticket ('' only looks; '-' as owner outside of runs), what to call it, ms that it lives
-- Answer: {signaled, ''}, {gone, ''}, or nil when it waits
local name, ticket = ARGV[1], ARGV[2]
local e, q = T .. 'sg:e:' .. name, T .. 'sg:q:' .. name
if gone(name) then return {'gone', ''} end
redis.call('PEXPIRE', e, ARGV[4])
if redis.call('HGET', e, 's') then return {'signaled', ''} end
if ticket ~= '' then
  local _, owner = of_ticket(ticket)
  if owner ~= '-' then
    local no = guard(holder_of(owner))
    if no then return no end
    if redis.call('SISMEMBER', q, ticket) == 0 then remember('sig:' .. name, ticket, owner) end
    begins_to_wait(owner, 'sig:' .. name, 'signal ' .. ARGV[3])
  end
  redis.call('SADD', q, ticket)
  redis.call('PEXPIRE', q, 60000)
end
return false
