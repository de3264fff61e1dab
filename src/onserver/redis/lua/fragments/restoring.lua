-- A restore that goes on: `restoring` of the hash `server` is 'STAGE TOKEN JSON'.
-- the stage of this token's restore; nil when there is none
local function stage_of(mine)
  local stage, token = string.match(redis.call('HGET', T .. 'server', 'restoring') or '', '^(%S+) (%S+)')
  return token == mine and stage or nil
end
local function go_to(stage)
  local rest = string.match(redis.call('HGET', T .. 'server', 'restoring'), '^%S+ (.*)$')
  redis.call('HSET', T .. 'server', 'restoring', stage .. ' ' .. rest)
end
