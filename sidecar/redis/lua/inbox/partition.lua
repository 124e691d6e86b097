-- Included in other scripts: sidecar/redis/client.py replaces their "include" line with it.

-- Whether a vendor belongs to the partition that three words describe, the first of which is at this
-- place (sidecar/inbox/partitions.py): which it is, of how many, and how vendors are spread.
local function is_held(vendor, words, first)
  local index, count, salt = tonumber(words[first]), tonumber(words[first + 1]), words[first + 2]
  if count == 1 then
    return true
  end
  local digest = redis.sha1hex(salt .. " " .. vendor)
  return tonumber(string.sub(digest, 1, 8), 16) % count == index
end
