-- Move the ends of campaigns' waits back with Redis's clock, where that was set back since the last time:
-- keys expire by it, and they would wait longer by as much.
--
-- KEYS[1]  clock            string: what Redis's clock said when this ran last, microseconds
-- KEYS[2..] wait:{campaign}  string
--
-- Returns how far the clock was set back.

local time = redis.call("TIME")
local now = time[1] * 1000000 + time[2]
local back = math.max(0, tonumber(redis.call("GET", KEYS[1]) or now) - now)
for index = 2, back > 0 and #KEYS or 1 do
  local left = redis.call("PTTL", KEYS[index])
  if left > 0 then
    redis.call("PEXPIRE", KEYS[index], math.max(1, left - math.ceil(back / 1000)))
  end
end
redis.call("SET", KEYS[1], string.format("%.0f", now))
return back
