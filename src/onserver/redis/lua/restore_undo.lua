-- include: prefix restoring
-- flags: allow-oom
-- restore_undo: a restore that has put nothing in its place yet is given up: it can be switched no more, and is forgotten
-- when what it has staged is removed. Keys: server. ARGV: token, 1 when that is removed.
-- Answer: '' or, when it is too late, its stage
local stage = stage_of(ARGV[1]) or 'undoing'
if stage ~= 'staging' and stage ~= 'undoing' then return stage end
if not stage_of(ARGV[1]) then return '' end
if ARGV[2] == '1' then redis.call('HDEL', T .. 'server', 'restoring') else go_to('undoing') end
return ''
