-- While a restore puts keys in their place, nobody else writes what it restores: whoever tries is refused as in
-- maintenance. Programs may come, beat and go meanwhile. redis.restoring is true then.
local FROZEN =
  'p vars log kids key rate paused boxes box call schedules schedule note chord group st sg queues q r keys line due ' ..
  'resting ended failed dead name id turns closed procedures aliases s sessions sk su sm rc re closing asked rotated ' ..
  'otp dropped drops emptying ss'
-- what stands in the place of `redis`: for the restore itself, whose scripts begin with its token, as it was
local function frozen(plain, cut, looking)
  if ARGV[1] == string.sub(cut, 9) then
    return {call = plain.call, pcall = plain.pcall, error_reply = plain.error_reply, restoring = true}
  end
  local closed = {}
  for word in string.gmatch(FROZEN, '%S+') do closed[word] = true end
  local refusing = looking(plain, function(first)
    if closed[first] then error({err = 'ONS 4104 the server is being restored'}) end
  end)
  refusing.restoring = true
  return refusing
end
