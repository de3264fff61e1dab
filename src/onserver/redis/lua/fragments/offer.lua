-- include: taking idle stand
-- late: spec_of limits
-- late: paused gates
-- late: serve serving
-- late: tell_side sides
-- Offering: n goes straight to an idle holder that may begin it, else it waits.
local function place(n, q, z, t, x, limited)
  local key = limited and limited.keyed and redis.call('HGET', T .. 'p:' .. n, 'lk') or ''
  join_line(n, z, x ~= '' and 'r' or 'q', q, t, key, limited)
end
-- Answers the holder or nil, and whether any worker has the procedure. What is limited stands in line first: somebody
-- may be before it. record: its fields, where they were just written. IDLE: false where nobody waits on q.
local IDLE
local function offer(n, q, z, t, x, record)
  if not STATE then look() end
  local open, known, own = (x ~= '' or STATE == 'running') and not redis.restoring, false, nil
  if PAUSES and x == '' then open = open and not (paused('all') or paused('q:' .. q) or paused('p:' .. t)) end
  if LIMITED then own = spec_of('p:' .. t) end
  local limited = own or LIMITED and spec_of('q:' .. q)
  open = open and not limited and IDLE ~= false
  for _, code in ipairs(codes()) do
    if has(code, t) then
      known = true
      local idle = T .. 'idle:' .. q .. ':' .. code
      local e = open and redis.call('SPOP', idle)
      while e do
        unlist(e)
        if redis.call('SISMEMBER', T .. 'live', e) == 1 then
          hand(e, take(n, e, record and message_of(n, record)))
          return e, true
        end
        e = redis.call('SPOP', idle)
      end
    end
  end
  place(n, q, z, t, x, own)
  if limited then serve(q) end
  if string.byte(q) == 33 then tell_side(q) end
  return nil, known
end
