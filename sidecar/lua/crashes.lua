#!lua flags=allow-oom
-- Note, before it is done, that something is begun which may kill the process: a drain, or a single
-- unit of its work. Whoever comes through strikes it off again (workers/inbox/crash_loop.py).
-- It is also done when Redis is full: it counts, and takes no room to speak of.
--
-- KEYS[1]  crashes:{lane}  hash: begun, tries, unit, left
-- ARGV[1]  "begun" for a drain, "tries" for a unit
-- for a drain:
-- ARGV[2]  how often one may be begun before its work is taken one by one
-- ARGV[3]  how many units are then taken one by one
-- for a unit:
-- ARGV[2]  its name
--
-- Returns {how often it was begun, units left to be taken one by one, the unit under way}

local times = redis.call("HINCRBY", KEYS[1], ARGV[1], 1)
if ARGV[1] == "tries" then
  redis.call("HSET", KEYS[1], "unit", ARGV[2])
elseif times > tonumber(ARGV[2]) then
  redis.call("HDEL", KEYS[1], "begun")
  redis.call("HSET", KEYS[1], "left", ARGV[3])
end
local found = redis.call("HMGET", KEYS[1], "left", "unit")
return {times, tonumber(found[1] or "0"), found[2] or ""}
