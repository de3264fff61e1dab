-- What is sent twice is done once, at the price of one key a sender and not one a message. A nonce is SENDER:SEQ, where a
-- sender has one message under way at a time: its last number and the answer to it are enough. Kept for 60 s.
-- local kept = repeated(nonce) if kept then return kept end … return said(answer)
local SENDER, SEQ
local function repeated(nonce)
  SENDER, SEQ = string.match(nonce, '^(.*):(%d+)$')
  local kept = redis.call('GET', T .. 'sent:' .. SENDER)
  if not kept then return nil end
  local last, answer = string.match(kept, '^(%d+) (.*)$')
  if tonumber(last) == tonumber(SEQ) then return cmsgpack.unpack(answer) end
  if tonumber(last) > tonumber(SEQ) then return redis.error_reply('LATE ' .. nonce) end
end
local function said(answer)
  redis.call('SET', T .. 'sent:' .. SENDER, SEQ .. ' ' .. cmsgpack.pack(answer), 'PX', 60000)
  return answer
end
