#!lua flags=no-writes,allow-oom
-- Read updates that are due for a retry, the longest due first, up to a number of bytes.
--
-- KEYS[1]  deferred:{lane}  sorted set: order keys by when their first update is due (unix ms)
-- and the lists deferred:{lane}:{order key} that it names
-- ARGV[1]  now, unix ms
-- ARGV[2]  maximum order keys
-- ARGV[3]  maximum updates of one of them
-- ARGV[4]  maximum bytes of all (the first update is returned whatever its size)
--
-- Returns, flat, each order key and its updates as stored.

local found, size, full = {}, 0, false
for _, order_key in ipairs(
  redis.call("ZRANGEBYSCORE", KEYS[1], 0, ARGV[1], "LIMIT", 0, ARGV[2])
) do
  local list, updates = KEYS[1] .. ":" .. order_key, {}
  for place = 0, ARGV[3] - 1 do
    local update = redis.call("LINDEX", list, place)
    if not update then
      break
    end
    size = size + #update
    if size > tonumber(ARGV[4]) and (#updates > 0 or #found > 0) then
      full = true
      break
    end
    updates[#updates + 1] = update
  end
  if #updates > 0 then
    found[#found + 1] = order_key
    found[#found + 1] = updates
  end
  if full then
    break
  end
end
return found
