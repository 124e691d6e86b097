#!lua flags=allow-oom
-- Take a lease, and with it a fencing token that is higher than every one before it.
-- Allowed when Redis is full: the holder is about to free memory.
--
-- KEYS[1]  lease:{name}   string, expires: the token of the holder
-- KEYS[2]  fence:{name}   string, expires: the last token that was given out
-- KEYS[3]  epoch          hash: what the leases of campaigns and replies ask for (epoch.lua)
-- ARGV[1]  how long the lease lasts, in milliseconds
--
-- Returns the token, or 0 if somebody else holds the lease; the error UNCHECKED as long as whoever
-- settles what an earlier holder has left might release what was sent. Tokens are unix milliseconds, so that
-- they keep growing when Redis has been wiped. The last one is kept for a week after the time that it
-- stands for; so when it is gone, the clock is past it, also if the clock had been set back.

-- include redis/epoch.lua

local FENCE_MS = 7 * 86400000

-- A lease that lasts so much longer than any is of before the clock was set back. Whoever holds it
-- renews it, so it ends soon only if nobody does.
local SET_BACK_MS = 60000

local floor = 0
if string.find(KEYS[1], "^lease:campaign:") then
  local unchecked
  unchecked, floor = look_at_epoch(KEYS[3])
  if unchecked then
    return unchecked
  end
end
local left = redis.call("PTTL", KEYS[1])
if left ~= -2 then
  if left > 4 * ARGV[1] + SET_BACK_MS then
    redis.call("PEXPIRE", KEYS[1], ARGV[1])
  end
  return 0
end
local now = redis.call("TIME")
local token = now[1] * 1000 + math.floor(now[2] / 1000)
local last = tonumber(redis.call("GET", KEYS[2]) or "0")
token = math.max(token, last + 1, floor + 1)
local text = string.format("%.0f", token)
redis.call("SET", KEYS[2], text, "PXAT", string.format("%.0f", token + FENCE_MS))
redis.call("SET", KEYS[1], text, "PX", ARGV[1])
return text
