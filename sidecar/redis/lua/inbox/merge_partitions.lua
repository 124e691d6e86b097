#!lua flags=allow-oom
-- Make one partition of a lane's again, unless another than the first is drained.
-- Allowed when Redis is full: it frees memory.
--
-- KEYS[1]  lease:drain:{lane}  string: the token of the first one's drain
-- KEYS[2]  partitions:{lane}   string: how many there are
-- KEYS[3]  crashes:{lane}:0    hash: tries, unit, left
-- KEYS[4]  begun:{lane}:0      set: drains that have begun and neither committed nor ended
-- then for each of the others: its lease, crashes and begun
-- ARGV[1]  the holder's token
--
-- Returns 1 if there is one now, 0 if another is drained, -1 if the lease is lost. What is recorded
-- of dead drains goes to the first one: what has killed them is its own now.

if redis.call("GET", KEYS[1]) ~= ARGV[1] then
  return -1
end
for index = 5, #KEYS, 3 do
  if redis.call("EXISTS", KEYS[index]) == 1 then
    return 0
  end
end
for index = 5, #KEYS, 3 do
  local left = tonumber(redis.call("HGET", KEYS[index + 1], "left") or "0")
  if left > tonumber(redis.call("HGET", KEYS[3], "left") or "0") then
    redis.call("HSET", KEYS[3], "left", left)
  end
  redis.call("SUNIONSTORE", KEYS[4], KEYS[4], KEYS[index + 2])
  redis.call("DEL", KEYS[index + 1], KEYS[index + 2])
end
redis.call("DEL", KEYS[2])
return 1
