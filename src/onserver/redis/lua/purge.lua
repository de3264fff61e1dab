-- include: prefix accept finish
-- purge: abort what waits in a queue, up to 100 a call. Keys: q:QUEUE, p:N. ARGV: queue, keep_s. Answer: how many
local gone = redis.call('ZPOPMIN', T .. 'q:' .. ARGV[1], 100)
for i = 1, #gone, 2 do
  give_up(gone[i], 'aborted', ARGV[2], {type = 'ProcessAborted', by = 'purge', message = 'its queue was purged'})
end
return #gone / 2
