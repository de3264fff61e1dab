-- include: counted standing
-- The series: how the server stood, written down by the leader after each 10 s of Redis' clock. Slots are counted from
-- 1970, so whoever leads knows which were written already: none is written twice, and one that nobody wrote is a gap.
--   T .. series:LEVEL  list  the newest at the end. A text: slot (time / step), and ended, failed, wait (p95, ms), busy,
--                            slots, queued, delayed, memory, memory of the workers, how many slots of 10 s it counts
--   T .. series:total  hash  ended, failed: all that were counted, for who counts from then to now
-- Of a longer time, ends are added, busy, slots and queued are means, of the rest it is the highest.
local LEVELS = {{'10s', 1, 362}, {'1m', 6, 1442}, {'10m', 10, 1010}}   -- which, made of how many, how many are kept
local MISSED = 6   -- slots without a leader of which ends are counted afterwards
local ADDED, MEANS = {[2] = true, [3] = true, [11] = true}, {[5] = true, [6] = true, [7] = true}
local function push(level, fields)
  redis.call('RPUSH', T .. 'series:' .. level[1], table.concat(fields, ' '))
  redis.call('LTRIM', T .. 'series:' .. level[1], -level[3], -1)
end
local function fields_of(text)
  local fields = {}
  for word in string.gmatch(text, '%S+') do fields[#fields + 1] = word end
  return fields
end
-- one of several, each with as many fields
local function joined(slot, several)
  local out = {whole(slot)}
  for i = 2, 11 do
    local sum, count, most = 0, 0, nil
    for _, fields in ipairs(several) do
      local value = tonumber(fields[i])
      if value then sum, count, most = sum + value, count + 1, math.max(most or value, value) end
    end
    if count == 0 then
      out[i] = '-'
    elseif ADDED[i] then
      out[i] = whole(sum)
    else
      out[i] = MEANS[i] and string.format('%.6g', sum / count) or whole(most)
    end
  end
  return out
end
-- of what the finer level has, that of each whole slot of this one
local function gather(level, finer, slot)
  local last, several, at = newest(level[1]) or 0, {}, nil
  for _, text in ipairs(last < slot and redis.call('LRANGE', T .. 'series:' .. finer[1], -2 * level[2] - 1, -1) or {}) do
    local fields = fields_of(text)
    local its = math.floor(tonumber(fields[1]) / level[2])
    if its ~= at and several[1] then push(level, joined(at, several)) several = {} end
    at = its
    if its > last and its <= slot then several[#several + 1] = fields end
  end
  if several[1] then push(level, joined(at, several)) end
end
local function write_slot(slot, present)
  local fields = {whole(slot), unpack(history_of(slot))}
  for i = 5, 10 do fields[i] = '-' end
  fields[11] = '1'
  if present then
    fields[5], fields[6] = busy_slots()
    fields[7], fields[8] = queued(), whole(redis.call('ZCARD', T .. 'due'))
    fields[9], fields[10] = memory()
  end
  redis.call('HINCRBY', T .. 'series:total', 'ended', fields[2])
  redis.call('HINCRBY', T .. 'series:total', 'failed', fields[3])
  push(LEVELS[1], fields)
end
-- a clock that was set back, as by a fail-over to another machine: what seems to come is dropped
local function drop_future(slot)
  local unit = 1
  for _, level in ipairs(LEVELS) do
    unit = unit * level[2]
    while (newest(level[1]) or 0) > math.floor(slot / unit) do redis.call('RPOP', T .. 'series:' .. level[1]) end
  end
end
-- writes down the slots that are over
local function sample()
  local slot = math.floor(now() / STEP) - 1
  if redis.restoring then return end
  if (newest('10s') or 0) > slot + MISSED then drop_future(slot) end
  local last = newest('10s') or slot - 1
  if last >= slot then return end
  for missed = math.max(last + 1, slot - MISSED), slot - 1 do write_slot(missed, false) end
  write_slot(slot, true)
  for _, field in ipairs(redis.call('HKEYS', T .. 'series:left')) do
    if tonumber(string.match(field, '^%d+')) <= slot then redis.call('HDEL', T .. 'series:left', field) end
  end
  local unit = 1
  for i = 2, 3 do
    unit = unit * LEVELS[i][2]
    gather(LEVELS[i], LEVELS[i - 1], math.floor((slot + 1) / unit) - 1)
  end
end
