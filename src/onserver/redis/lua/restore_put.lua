-- include: prefix restoring
-- flags: allow-oom
-- restore_put: keys go to their place. A schedule belongs to the codes that are alive now; procedures and their earlier
-- names that are known now stay known, and so do dropped sessions.
-- Keys: restore:TOKEN:KEY, any that is restored, st:index, ss:ID:index, codes.
-- ARGV: token, keys … Answer: 1; 0 when that stage is over
if stage_of(ARGV[1]) ~= 'renaming' then return 0 end
local own = 's:' .. (redis.call('HGET', T .. 'server', 'session') or '')
local staged = T .. 'restore:' .. ARGV[1] .. ':'
for i = 2, #ARGV do
  local key = ARGV[i]
  local from, to, space, name = staged .. key, T .. key, string.match(key, '^(.-:)e:(.*)$')
  if redis.call('EXISTS', from) == 1 then
    if key == 'procedures' or key == 'aliases' or key == 'dropped' then
      local all = redis.call('HGETALL', from)
      for j = 1, #all, 2 do redis.call('HSETNX', to, all[j], all[j + 1]) end
      redis.call('DEL', from)
    elseif key == 'drops' then
      redis.call('ZUNIONSTORE', to, 2, to, from, 'AGGREGATE', 'MAX')
      redis.call('DEL', from)
    elseif key == 'schedules' then
      redis.call('SUNIONSTORE', to, to, from)
      redis.call('DEL', from)
    elseif string.find(key, '^hooks:') or string.find(key, '^failure:') or key == own then   -- of this life: as they are
      if redis.call('EXISTS', to) == 1 then redis.call('DEL', from) else redis.call('RENAME', from, to) end
    else
      redis.call('RENAME', from, to)
    end
    if space == 'st:' or space and string.find(space, '^ss:') then redis.call('SADD', T .. space .. 'index', name) end
  end
end
return 1
