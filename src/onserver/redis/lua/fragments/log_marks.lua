-- Marks in the stream of changes (see `changes`), where they are logged: m what has happened, c the newest change then,
-- a when, n a number.
local function log_mark(what, number)
  if redis.call('EXISTS', T .. 'journal') == 0 then return end
  redis.call('XADD', T .. 'journal', '*', 'm', what, 'c', redis.call('HGET', T .. 'server', 'change') or '0', 'a', now(),
    'n', number)
end
