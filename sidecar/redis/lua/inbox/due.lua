#!lua flags=no-writes,allow-oom
-- Read updates that are due for a retry, the longest due first, up to a number of bytes.
--
-- KEYS[1]  deferred:{lane}  sorted set: order keys by when their first update is due (unix ms)
-- and the lists deferred:{lane}:{order key} that it names
-- ARGV[1]  now, unix ms
-- ARGV[2]  maximum order keys
-- ARGV[3]  maximum updates of one of them; 0: only the order keys are wanted
-- ARGV[4]  maximum bytes of all (the first update is returned whatever its size)
-- ARGV[5..7]  the partition that is wanted (partition.lua)
--
-- Returns, flat, each order key and its updates as stored.

-- include inbox/partition.lua

-- How many pages of order keys are inspected at most where there are other partitions, and how many
-- each has at least. Whoever drains those postpones what nothing can be done about.
local MAX_PAGES, LEAST_PAGE = 20, 200

local limit, of_each, max_size = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local found, size, wanted = {}, 0, 0

-- Add an order key with its updates. Returns false if there is no room for more.
local function add(order_key)
  local list, updates = KEYS[1] .. ":" .. order_key, {}
  local full = false
  for place = 0, of_each - 1 do
    local update = redis.call("LINDEX", list, place)
    if not update then
      break
    end
    size = size + #update
    if size > max_size and (#updates > 0 or #found > 0) then
      full = true
      break
    end
    updates[#updates + 1] = update
  end
  if #updates > 0 or of_each == 0 then
    wanted = wanted + 1
    found[#found + 1] = order_key
    found[#found + 1] = updates
  end
  return not full and wanted < limit
end

local pages, size_of_page = 1, limit
if ARGV[6] ~= "1" then
  pages, size_of_page = MAX_PAGES, math.max(limit, LEAST_PAGE)
end
for page = 0, pages - 1 do
  local order_keys = redis.call(
    "ZRANGEBYSCORE", KEYS[1], 0, ARGV[1], "LIMIT", page * size_of_page, size_of_page
  )
  for _, order_key in ipairs(order_keys) do
    if is_held(string.match(order_key, "^[^/]*"), ARGV, 5) and not add(order_key) then
      return found
    end
  end
  if #order_keys < size_of_page then
    break
  end
end
return found
