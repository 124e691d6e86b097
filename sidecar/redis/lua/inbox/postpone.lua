#!lua flags=allow-oom
-- Have order keys stand aside for a while, so that others are seen.
-- It adds nothing, so it may be done when Redis is full.
--
-- KEYS[1]  deferred:{lane}  sorted set: order keys by when they are due
-- ARGV[1]  when they are due now, unix ms; those that are due later stay where they are
-- ARGV[2..] order keys
--
-- Returns how many have been moved.

local moved = 0
for index = 2, #ARGV do
  moved = moved + redis.call("ZADD", KEYS[1], "XX", "GT", "CH", ARGV[1], ARGV[index])
end
return moved
