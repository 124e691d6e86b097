#!lua flags=allow-oom
-- Count a try to sign in to the console, by each of what tries are counted by.
-- Allowed when Redis is full: somebody will want to sign in to see why, and it takes next to no
-- memory.
--
-- KEYS     console:tries:{scope}:{id}  strings, expire: how many tries
-- ARGV[1]  for how long they count, in seconds
-- ARGV[2]  1, or -1 to take one back
--
-- Returns for each key how many there are, and in how many seconds they are forgotten.

local found = {}
for _, key in ipairs(KEYS) do
  found[#found + 1] = redis.call("INCRBY", key, ARGV[2])
  redis.call("EXPIRE", key, ARGV[1], "NX")
  found[#found + 1] = redis.call("TTL", key)
end
return found
