#!lua flags=allow-oom
-- Record beforehand that something starts which may kill the process: a drain, or a single unit of
-- its work. The record is cleared in its commit (workers/inbox/crash_loop.py).
-- Allowed when Redis is full: it is a counter, and takes next to no memory.
--
-- KEYS[1]  crashes:{lane}:{partition}  hash: tries, unit, left
-- KEYS[2]  begun:{lane}:{partition}    set: drains that have begun and neither committed nor ended
-- ARGV[1]  "drain" or "unit"
-- for a drain:
-- ARGV[2]  its fencing token
-- ARGV[3]  how many may be begun before the work is taken one by one
-- ARGV[4]  how many units are then taken one by one
-- for a unit:
-- ARGV[2]  its name
--
-- Returns {how often it was begun, units left to be taken one by one, the unit in progress}

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
