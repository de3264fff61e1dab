-- include: finish
-- Member m is gone, and what was to run there will not: it is lost.
local function drop_sides(m, keep_failed, where)
  local q = '!' .. m
  for _, t in ipairs(redis.call('ZRANGE', T .. 'r:' .. q, 0, -1)) do
    for _, n in ipairs(redis.call('ZRANGE', T .. 'line:r ' .. q .. ' ' .. t, 0, -1)) do
      local d = tonumber(redis.call('HGET', T .. 'p:' .. n, 'd') or 0)
      give_up(n, 'lost', keep_failed, {type = 'ProcessLost', number = tonumber(n), deliveries = d, worker = where, at_ms = now()})
    end
    redis.call('DEL', T .. 'line:r ' .. q .. ' ' .. t)
    drop_entry('r', q, t)
  end
end
