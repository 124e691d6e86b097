#!lua flags=no-writes,allow-oom
-- Tell since when the oldest webhook of a lane waits.
--
-- KEYS[1]  ready:{lane}  set: vendors whose stream is not empty
-- ARGV[1]  what the keys of the lane's streams begin with
-- ARGV[2]  most vendors that are looked at; of more, some by chance
--
-- Returns {vendors, id of the oldest entry or ""}. An entry comes with all of its bodies, so they stay
-- in here.

local vendors = redis.call("SRANDMEMBER", KEYS[1], ARGV[2])
local oldest, oldest_ms = "", math.huge
for _, vendor in ipairs(vendors) do
  local head = redis.call("XRANGE", ARGV[1] .. vendor, "-", "+", "COUNT", 1)[1]
  if head then
    local ms = tonumber(string.match(head[1], "^%d+"))
    if ms < oldest_ms then
      oldest, oldest_ms = head[1], ms
    end
  end
end
return {redis.call("SCARD", KEYS[1]), oldest}
