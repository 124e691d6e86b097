-- Record webhooks that PHP handles, while there is room for them.
--
-- KEYS[1]  shadow:{vendor}        stream: webhooks to be compared
-- KEYS[2]  shadow:{vendor}:bytes  string: how many bytes of webhooks are in it
-- KEYS[3]  shadowed               set: vendors
-- KEYS[4]  parity:{vendor}        hash: first, last, dropped_at (unix ms)
-- KEYS[5]  parity:{vendor}:{day}  hash: recorded, dropped and more
-- ARGV[1]  the vendor
-- ARGV[2]  maximum webhooks in the stream
-- ARGV[3]  maximum bytes of webhooks in it
-- ARGV[4]  now, unix ms
-- ARGV[5]  how long counters are kept, in seconds
-- ARGV[6]  how many webhooks were dropped before this call
-- ARGV[7..] pairs of when a webhook was received (unix ms) and its body
--
-- Returns how many were recorded; the others are counted as dropped.

local entries = redis.call("XLEN", KEYS[1])
local bytes = tonumber(redis.call("GET", KEYS[2]) or "0")
local recorded, dropped = 0, tonumber(ARGV[6])
for index = 7, #ARGV, 2 do
  local size = #ARGV[index + 1]
  if entries < tonumber(ARGV[2]) and bytes + size <= tonumber(ARGV[3]) then
    redis.call("XADD", KEYS[1], "*", ARGV[index], ARGV[index + 1])
    entries, bytes, recorded = entries + 1, bytes + size, recorded + 1
  else
    dropped = dropped + 1
  end
end
redis.call("SET", KEYS[2], bytes)
redis.call("SADD", KEYS[3], ARGV[1])
redis.call("HSETNX", KEYS[4], "first", ARGV[4])
redis.call("HSET", KEYS[4], "last", ARGV[4])
redis.call("HINCRBY", KEYS[5], "recorded", recorded)
if dropped > 0 then
  redis.call("HSET", KEYS[4], "dropped_at", ARGV[4])
  redis.call("HINCRBY", KEYS[5], "dropped", dropped)
end
redis.call("EXPIRE", KEYS[4], ARGV[5])
redis.call("EXPIRE", KEYS[5], ARGV[5])
return recorded
