-- include: prefix restoring
-- flags: allow-oom
-- restore_put: keys go to their place. A schedule belongs to the codes that are alive now; procedures and their earlier
-- names that are known now stay known. Keys: restore:TOKEN:KEY, any that is restored, st:index, codes.
-- ARGV: token, keys … Answer: 1; 0 when that stage is over
if stage_of(ARGV[1]) ~= 'renaming' then return 0 end
local staged = T .. 'restore:' .. ARGV[1] .. ':'
for i = 2, #ARGV do
  local key = ARGV[i]
  local from, to, space, name = staged .. key, T .. key, string.match(key, '^(%a+:)e:(.*)$')
  if redis.call('EXISTS', from) == 1 then
    if key == 'procedures' or key == 'aliases' then
      local all = redis.call('HGETALL', from)
      for j = 1, #all, 2 do redis.call('HSETNX', to, all[j], all[j + 1]) end
      redis.call('DEL', from)
    elseif key == 'schedules' then
      redis.call('SUNIONSTORE', to, to, from)
      redis.call('DEL', from)
    elseif string.find(key, '^hooks:') or string.find(key, '^failure:') then   -- of this life they are as they are
      if redis.call('EXISTS', to) == 1 then redis.call('DEL', from) else redis.call('RENAME', from, to) end
    else
      redis.call('RENAME', from, to)
    end
    if space == 'st:' then redis.call('SADD', T .. 'st:index', name) end
  end
end
return 1
