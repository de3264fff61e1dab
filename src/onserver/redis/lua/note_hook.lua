-- include: prefix once hook_runs
-- flags: allow-oom
-- note_hook: a hook begins or ends that is run in place, in a process or outside of all. Keys: p:N, hook_runs, server,
-- once:NONCE. ARGV: nonce, holder or '' (outside), number or 0, kind, hook, delivery, worker, ms that it took or '' (it
-- begins), how it ended, result or error. Answer: 1; 0 when another has ended the run already
local kept = answered(ARGV[1])
if kept then return kept end
if ARGV[2] ~= '' then local no = guard(ARGV[2]) if no then return no end end
local n, begins = ARGV[3], ARGV[8] == ''
local k = n ~= '0' and T .. 'p:' .. n
if begins then
  if k and redis.call('HGET', k, 'o') == ARGV[2] then
    redis.call('HSET', k, 'hn', ARGV[4] .. ' ' .. ARGV[5] .. ' ' .. now())
  end
  return answer(ARGV[1], 1)
end
if k and redis.call('HDEL', k, 'hn') == 0 then return answer(ARGV[1], 0) end
local v = {kind = ARGV[4], hook = ARGV[5], epoch = epoch_now(), n = n, d = ARGV[6], worker = ARGV[7], ms = ARGV[8]}
note_run(v, ARGV[9], ARGV[10])
return answer(ARGV[1], 1)
