-- include: hold
-- Holders that wait for a hand-off. Fields of `server` say for whoever looks there anyway what may be: idle:QUEUE, that
-- somebody waits there; r:QUEUE, that anything stands on its side r. Where one is missing, nobody and nothing does.
-- The codes that are alive. Their names stand in `server` too, joined, for who looks there anyway; the last text that was
-- read is kept taken apart.
local read_text, read_codes
local function codes()
  if CODES then return CODES end
  if not STATE then look() end
  if not ALIVE then   -- there are none, or all of them came with a release that did not write the text
    CODES = redis.call('HKEYS', T .. 'codes')
    return CODES
  end
  if ALIVE ~= read_text then
    read_text, read_codes = ALIVE, {}
    for code in string.gmatch(ALIVE, '%S+') do read_codes[#read_codes + 1] = code end
  end
  CODES = read_codes
  return CODES
end
-- nobody was found waiting on q: whoever puts next need not look
local function nobody_waits(q)
  for _, code in ipairs(codes()) do
    if redis.call('EXISTS', T .. 'idle:' .. q .. ':' .. code) == 1 then return end
  end
  redis.call('HDEL', T .. 'server', 'idle:' .. q)
end
local function hand(e, m)
  m[HAND] = newest_change()
  redis.call('RPUSH', T .. 'x:' .. e, unpack(m))
end
local function wake(e)
  local m = {'wake'}
  for i = 2, HAND do m[i] = '' end
  redis.call('RPUSH', T .. 'x:' .. e, unpack(m))
end
-- e waits no longer: out of the idle set of each of its queues
local function unlist(e)
  local h = redis.call('HMGET', T .. 'h:' .. e, 'queues', 'code')
  for q in string.gmatch(h[1] or '', '%S+') do redis.call('SREM', T .. 'idle:' .. q .. ':' .. h[2], e) end
end
