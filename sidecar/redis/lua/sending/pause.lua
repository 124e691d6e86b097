-- Pause a number or an account until a person resumes it.
--
-- KEYS[1]  pauses               hash: number:{number} or account:{account} -> JSON (sidecar/sending/pauses.py)
-- KEYS[2]  lifted:{scope}:{id}  string: when a person had it tried again, unix ms
-- ARGV[1]  the field of KEYS[1]
-- ARGV[2]  its value
-- ARGV[3]  when what went wrong happened, unix ms
--
-- Returns 1; 0 if it is paused already, or if a person has acted since it happened.

local time = redis.call("TIME")
local lifted = tonumber(redis.call("GET", KEYS[2]) or 0)
-- What lies in the future is of before the clock was set back.
if tonumber(ARGV[3]) <= lifted and lifted <= time[1] * 1000 + 1000 then
  return 0
end
return redis.call("HSETNX", KEYS[1], ARGV[1], ARGV[2])
