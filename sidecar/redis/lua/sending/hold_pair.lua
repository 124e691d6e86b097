-- Give a recipient nothing from a number for a while. Times are microseconds.
--
-- KEYS[1]  pair:{number}:{recipient}  string: began.written:due (pair.lua); began 0: no burst is
--                                     under way
-- ARGV[1]  for how long

-- include sending/pair.lua

local time = redis.call("TIME")
local now = time[1] * 1000000 + time[2]
local _, due = read_pair(KEYS[1], now)
write_pair(KEYS[1], now, 0, math.max(now + ARGV[1], due or 0))
return 1
