-- Give a recipient nothing from a number for a while. Times are microseconds.
--
-- KEYS[1]  pair:{number}:{recipient}  string: began:due (grant.lua); began 0: no burst is under way
-- ARGV[1]  for how long

local time = redis.call("TIME")
local now = time[1] * 1000000 + time[2]
local due = now + ARGV[1]
local state = redis.call("GET", KEYS[1])
if state then
  local before = tonumber(string.match(state, ":(%d+)$"))
  if before <= now + 1100000000 then -- or else it is of before the clock was set back, as in grant.lua
    due = math.max(due, before)
  end
end
redis.call("SET", KEYS[1], string.format("0:%.0f", due), "PX", math.ceil((due - now) / 1000))
return 1
