-- Lift what keeps a number, an account or an app from sending for a while: a person says so.
--
-- KEYS[1]  number:{number}, hold:account:{account} or hold:app:{app}  hash (hold.lua)
-- KEYS[2]  outage:{number}  hash (outage.lua), of a number
--
-- Returns what was lifted, in pairs: hold, outage or rate, and the reason.

-- include sending/held.lua

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
  end
  redis.call("DEL", KEYS[2])
end
return lifted
