-- Included in other scripts: sidecar/redis/client.py replaces their "include" line with it.

-- Whether a vendor belongs to a partition (sidecar/inbox/partitions.py).
local function is_held(vendor, index, count)
  return count == 1 or tonumber(string.sub(redis.sha1hex(vendor), 1, 8), 16) % count == index
end
