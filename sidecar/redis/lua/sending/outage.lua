-- Note that the Cloud API does not work for a number: nothing is sent but one probe at a time (grant.lua,
-- begin.lua), until one works (probed.lua). Times are microseconds.
--
-- KEYS[1]  outage:{number}  hash. While it is down: since, reason, silent (1: nothing was answered, so any
--                           answer ends it), until (when the next probe may go), pause (how long it waited
--                           for that), failed (how many have failed) and refused (how many of these because
--                           a row was refused), phase (row: the API answers, a row is next), probe and
--                           probe_until (the one that is under way), looked (held.lua).
--                           Afterwards, for an hour: last_reason, last_since, last_until, carry (the last
--                           pause) and trial_until (until when it is on trial).
-- ARGV[1]  when the send left that has shown it
-- ARGV[2]  the reason
-- ARGV[3]  1 if nothing was answered, else 0
-- ARGV[4]  how long it is until the first probe
-- ARGV[5]  what that is stretched by, so that not everybody comes back at once
-- ARGV[6]  how long it is kept after the next probe is due: nobody asks for slots any more, it seems
--
-- Returns 1; 2 if it is down already; 0 if the send left before the last outage was over, and so says
-- nothing new.

-- include sending/held.lua

local time = redis.call("TIME")
local now = time[1] * 1000000 + time[2]
local known = look(KEYS[1], now, "since", "last_until")
if known[1] then
  return 2
end
if tonumber(ARGV[1]) <= tonumber(known[2] or 0) then
  return 0
end
local pause = math.ceil(ARGV[4] * ARGV[5])
redis.call("HSET", KEYS[1], "since", now, "reason", ARGV[2], "silent", ARGV[3], "until", now + pause,
  "pause", ARGV[4], "failed", 0, "looked", now)
redis.call("PEXPIRE", KEYS[1], math.ceil((pause + ARGV[6]) / 1000))
return 1
