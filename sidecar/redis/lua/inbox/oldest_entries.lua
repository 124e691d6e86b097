#!lua flags=no-writes,allow-oom
-- Find since when the webhooks of vendors wait in a lane.
--
-- The streams of the lane, by the vendors' names
-- ARGV[1]  the key prefix of the lane's streams
-- ARGV[2]  maximum bytes that are read; vendors after that are left out
-- ARGV[3..] vendors
--
-- Returns for each of the vendors the id of its oldest entry, or "". An entry is read with all of
-- its bodies, so these do not leave the script.

local left, found = tonumber(ARGV[2]), {}
for index = 3, #ARGV do
  local entry = left > 0 and redis.call("XRANGE", ARGV[1] .. ARGV[index], "-", "+", "COUNT", 1)[1]
  found[#found + 1] = entry and entry[1] or ""
  for _, field in ipairs(entry and entry[2] or {}) do
    left = left - #field
  end
end
return found
