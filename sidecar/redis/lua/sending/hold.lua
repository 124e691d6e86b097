-- Hold a number, an account or an app because a send was refused: longer while that goes on. Times
-- are microseconds.
--
-- KEYS[1]  number:{number}, hold:account:{account} or hold:app:{app}
--          hash: until, pause, reason, looked (held.lua)
-- ARGV[1]  when the send left
-- ARGV[2]  how long the first pause is
-- ARGV[3]  how long a pause is at most. It doubles when a send is refused that left within the last
--          pause's length after its end.
-- ARGV[4]  what the pause is stretched by, so that not everybody comes back at once
-- ARGV[5]  the reason
-- ARGV[6]  1: it was too fast. The share of the rate that was refused is kept, for grant.lua.
--
-- Returns 1. 0 if the send left before the last pause was over: then it says nothing new.

-- include sending/held.lua

local time = redis.call("TIME")
local now = time[1] * 1000000 + time[2]
local left = math.min(now, tonumber(ARGV[1]))
local pause, longest = tonumber(ARGV[2]), tonumber(ARGV[3])
local known = look(KEYS[1], now, "until", "pause", "share")
local over, last = tonumber(known[1] or 0), tonumber(known[2] or 0)
if over > now + 1.5 * last then
  over, last = 0, 0 -- of a version that kept no `looked`, and the clock has been set back since
end
if left < over then
  return 0
end
if left < over + last then
  pause = math.max(pause, math.min(longest, 2 * last))
end
over = math.ceil(now + pause * ARGV[4])
redis.call("HSET", KEYS[1], "until", over, "pause", pause, "reason", ARGV[5], "looked", now)
if ARGV[6] == "1" then
  redis.call("HSET", KEYS[1], "ceiling", known[3] or 1, "climbs_from", over)
end
redis.call("PEXPIRE", KEYS[1], math.ceil((over + pause - now) / 1000) + 600000)
return 1
