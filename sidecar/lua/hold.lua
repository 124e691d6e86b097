-- Give out no slots of a number for a while.
--
-- KEYS[1]  rate:{number}  string: when the next slot is, in microseconds of Redis's clock
-- ARGV[1]  for how long, in microseconds

local time = redis.call("TIME")
local now = time[1] * 1000000 + time[2]
local free = math.max(now + tonumber(ARGV[1]), tonumber(redis.call("GET", KEYS[1]) or "0"))
local keep_ms = math.ceil((free - now) / 1000) + 60000
redis.call("SET", KEYS[1], string.format("%.0f", free), "PX", keep_ms)
return 1
