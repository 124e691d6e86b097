#!lua flags=allow-oom
-- Postpone order keys, so that others are found.
-- Allowed when Redis is full: it adds nothing.
--
-- KEYS[1]  deferred:{lane}  sorted set: order keys by when they are due
-- ARGV[1]  when they are due now, unix ms; those that are due later stay where they are
-- ARGV[2..] order keys
--
-- Returns how many were moved.

local moved = 0
for index = 2, #ARGV do
  moved = moved + redis.call("ZADD", KEYS[1], "XX", "GT", "CH", ARGV[1], ARGV[index])
end
return moved
