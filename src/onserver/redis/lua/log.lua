-- include: prefix sender
-- log: keep lines that processes have written, the last ones of each, and tell whoever follows. No guard: what was
-- printed was printed, also by one that was declared dead.
-- Keys: log:N (as long as its record), p:N, l:N (pub/sub), sent:SENDER.
-- ARGV: nonce, lines kept of each, bytes kept of each, then for each process: number, lines that were dropped before
--       these, how many, line …
-- Answer: how many processes had lines that were kept
local kept = repeated(ARGV[1])
if kept then return kept end
local lines, bytes = tonumber(ARGV[2]), tonumber(ARGV[3])
local i, found = 4, 0
while ARGV[i] do
  local n, dropped, count = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
  local record, log = T .. 'p:' .. n, T .. 'log:' .. n
  local left = redis.call('PTTL', record)
  if left ~= -2 then
    local text, size = {}, tonumber(redis.call('HGET', record, 'lb') or 0)
    for j = i + 3, i + 2 + count do
      redis.call('RPUSH', log, ARGV[j])
      size = size + #ARGV[j]
      text[#text + 1] = #ARGV[j] .. ':' .. ARGV[j]
    end
    local total = redis.call('HINCRBY', record, 'ln', dropped + count)
    local length = redis.call('LLEN', log)
    while length > 0 and (length > lines or size > bytes) do
      size = size - #redis.call('LPOP', log)
      length = length - 1
    end
    redis.call('HSET', record, 'lb', size)
    if left > 0 then redis.call('PEXPIRE', log, left) end
    redis.call('PUBLISH', T .. 'l:' .. n, total - count .. ' ' .. table.concat(text))
    found = found + 1
  end
  i = i + 3 + count
end
return said(found)
