#!lua flags=allow-oom
-- Look which of a lane's partitions nobody drains. If nobody drains any but the first, that one's
-- drain makes one of them again. Allowed when Redis is full: it frees memory.
--
-- KEYS[1]  partitions:{lane}          string: how many there are
-- then for each, the first of them first:
--          lease:drain:{lane}[:{n}]   string: the token of its drain
--          crashes:{lane}:{n}         hash: tries, unit, left
--          begun:{lane}:{n}           set: drains that have begun and neither committed nor ended
-- ARGV[1]  which of them looks, from 0 on
-- ARGV[2]  its token
--
-- Returns how many nobody drains, -1 if the lease is lost, -2 if there is one now. What is recorded
-- of dead drains goes to the first one then: what has killed them is its own now.

local mine = tonumber(ARGV[1])
if redis.call("GET", KEYS[2 + 3 * mine]) ~= ARGV[2] then
  return -1
end
local partitions, free = (#KEYS - 1) / 3, 0
for index = 2, #KEYS, 3 do
  free = free + 1 - redis.call("EXISTS", KEYS[index])
end
if mine > 0 or free < partitions - 1 then
  return free
end
for index = 5, #KEYS, 3 do
  local left = tonumber(redis.call("HGET", KEYS[index + 1], "left") or "0")
  if left > tonumber(redis.call("HGET", KEYS[3], "left") or "0") then
    redis.call("HSET", KEYS[3], "left", left)
  end
  redis.call("SUNIONSTORE", KEYS[4], KEYS[4], KEYS[index + 2])
  redis.call("DEL", KEYS[index + 1], KEYS[index + 2])
end
redis.call("DEL", KEYS[1])
return -2
