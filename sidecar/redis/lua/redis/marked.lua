#!lua flags=no-writes,allow-oom
-- Return which marks are set (sidecar/redis/marks.py).
--
-- KEYS     dedup:{slice}:   for each time slice that counts, the key prefix of its buckets
-- ARGV     for each mark its bucket, and itself
-- and the sets dedup:{slice}:{bucket}
--
-- Returns for each mark 1, or 0 if it is not set.

local marked = {}
for index = 1, #ARGV, 2 do
  local found = 0
  for slice = 1, #KEYS do
    if redis.call("SISMEMBER", KEYS[slice] .. ARGV[index], ARGV[index + 1]) == 1 then
      found = 1
      break
    end
  end
  marked[#marked + 1] = found
end
return marked
