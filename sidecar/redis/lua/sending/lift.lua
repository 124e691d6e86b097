#!lua flags=allow-oom
-- Lift what keeps a number, an account or an app from sending for a while: a person says so.
--
-- KEYS[1]  number:{number}, hold:account:{account} or hold:app:{app}  hash (hold.lua)
-- KEYS[2]  outage:{number}  hash (outage.lua), of a number. If it was down it is on trial now: the first call
--          whose outcome nobody knows says that it still is, so that no more rows are lost for each lift.
--
-- Returns what was lifted, in pairs: hold, outage or rate, and the reason.

-- include sending/held.lua

local TRIAL = 60000000 -- us

local time = redis.call("TIME")
local now = time[1] * 1000000 + time[2]
local lifted = {}
local hold = look(KEYS[1], now, "until", "reason", "ceiling")
if tonumber(hold[1] or 0) > now then
  lifted = {"hold", hold[2]}
end
if hold[3] then
  lifted[#lifted + 1] = "rate"
  lifted[#lifted + 1] = ""
end
redis.call("HDEL", KEYS[1], "until", "pause", "reason", "ceiling", "climbs_from")
if KEYS[2] then
  local reason = redis.call("HGET", KEYS[2], "reason")
  if reason then
    lifted[#lifted + 1] = "outage"
    lifted[#lifted + 1] = reason
    local pause = redis.call("HGET", KEYS[2], "pause")
    redis.call("DEL", KEYS[2])
    redis.call("HSET", KEYS[2], "last_until", now, "looked", now, "trial_until", now + TRIAL, "carry", pause)
    redis.call("PEXPIRE", KEYS[2], TRIAL / 1000)
  end
end
return lifted
