#!lua flags=allow-oom
-- Note, before it is done, that something is begun which may kill the process: a drain, or a single
-- unit of its work. Whoever comes through strikes it off again (workers/inbox/crash_loop.py).
-- It is also done when Redis is full: it counts, and takes no room to speak of.
--
-- KEYS[1]  crashes:{lane}  hash: tries, unit, left
-- KEYS[2]  begun:{lane}    set: drains that have begun and neither settled anything nor ended
-- ARGV[1]  "drain" or "unit"
-- for a drain:
-- ARGV[2]  its fencing token
-- ARGV[3]  how many may be begun before the work is taken one by one
-- ARGV[4]  how many units are then taken one by one
-- for a unit:
-- ARGV[2]  its name
--
-- Returns {how often it was begun, units left to be taken one by one, the unit under way}

local times
if ARGV[1] == "unit" then
  times = redis.call("HINCRBY", KEYS[1], "tries", 1)
  redis.call("HSET", KEYS[1], "unit", ARGV[2])
else
  redis.call("SADD", KEYS[2], ARGV[2])
  times = redis.call("SCARD", KEYS[2])
  if times > tonumber(ARGV[3]) then
    redis.call("DEL", KEYS[2])
    redis.call("HSET", KEYS[1], "left", ARGV[4])
  end
end
local found = redis.call("HMGET", KEYS[1], "left", "unit")
return {times, tonumber(found[1] or "0"), found[2] or ""}
