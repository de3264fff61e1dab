-- The record of each run of a hook: a stream of which the newest 1,000 or so are kept.
-- v: kind, hook, epoch, number, delivery, worker, ms that it took; state: how the run ended: that of the process, or died
-- (its runner was killed), aborted, or cut (it was ended for a reason outside of it, and does not count); r: result or error, where
-- it is not too long to be kept
local function note_run(v, state, r)
  redis.call(
    'XADD', T .. 'hook_runs', 'MAXLEN', '~', 1000, '*', 'at', now(), 'k', v.kind, 'h', v.hook, 'e', v.epoch, 'n', v.n,
    'd', v.d, 'w', v.worker, 'ms', v.ms, 's', state, 'r', #r <= 8192 and r or '')
end
local function epoch_now() return redis.call('HGET', T .. 'server', 'epoch') or '0' end
-- the run of a start-up or shutdown hook by e has ended; hk: 'EPOCH KIND NAME'
local function note_end(n, e, hk, state, r)
  local epoch, kind, hook = string.match(hk, '^(%S+) (.+) (%S+)$')
  local v = redis.call('HMGET', T .. 'p:' .. n, 'g', 'd')
  local m = string.match(e, '^%d+')
  note_run({
    kind = kind, hook = hook, epoch = epoch, n = n, d = tonumber(v[2] or 0) + 1, ms = now() - tonumber(v[1] or now()),
    worker = redis.call('HGET', T .. 'member:' .. m, 'node') or m,
  }, state, r)
end
-- the run of n has ended before it was settled: in a hook (hk), or while it ran one in place (hn: 'KIND NAME MS')
local function note_cut(n, hk, hn, g, d, state, where)
  local epoch, kind, hook = string.match(hk or '', '^(%S+) (.+) (%S+)$')
  if not epoch then
    kind, hook, g = string.match(hn, '^(.+) (%S+) (%d+)$')
    epoch = epoch_now()
    redis.call('HDEL', T .. 'p:' .. n, 'hn')
  end
  local v = {kind = kind, hook = hook, epoch = epoch, n = n, d = d, worker = where, ms = now() - tonumber(g or now())}
  note_run(v, state, '')
end
