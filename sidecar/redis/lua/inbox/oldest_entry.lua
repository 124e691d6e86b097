#!lua flags=no-writes,allow-oom
-- Find the oldest webhook of a lane, or of one of its partitions.
--
-- KEYS[1]  ready:{lane}    set: vendors whose stream is not empty
-- KEYS[2]  waiting:{lane}  hash: webhooks in each vendor's stream
-- ARGV[1]  the key prefix of the lane's streams
-- ARGV[2]  maximum vendors to inspect; of more, a random sample
-- ARGV[3..5]  the partition that is wanted (partition.lua)
--
-- Returns {vendors of the lane, id of the oldest entry or "", webhooks that wait}. An entry is read
-- with all of its bodies, so these do not leave the script.

-- include inbox/partition.lua

local vendors = redis.call("SRANDMEMBER", KEYS[1], ARGV[2])
local oldest, oldest_ms, waiting = "", math.huge, 0
for _, vendor in ipairs(vendors) do
  local head = is_held(vendor, ARGV, 3)
    and redis.call("XRANGE", ARGV[1] .. vendor, "-", "+", "COUNT", 1)[1]
  if head then
    waiting = waiting + tonumber(redis.call("HGET", KEYS[2], vendor) or "0")
    local ms = tonumber(string.match(head[1], "^%d+"))
    if ms < oldest_ms then
      oldest, oldest_ms = head[1], ms
    end
  end
end
return {redis.call("SCARD", KEYS[1]), oldest, waiting}
