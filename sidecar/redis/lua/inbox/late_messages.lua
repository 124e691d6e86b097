#!lua flags=no-writes,allow-oom
-- Find customers' messages that have waited for too long: in the inbox, for a retry, or behind an
-- update that does. Of each vendor the oldest of what is inspected.
--
-- KEYS[1]  ready:messages     set: vendors whose stream is not empty
-- KEYS[2]  deferred:messages  sorted set: order keys by when their first update is due (unix ms)
-- and the streams and lists that these name
-- ARGV[1]  the key prefix of the streams
-- ARGV[2]  what came until then has waited for too long, unix ms
-- ARGV[3]  maximum vendors to inspect; of more, a random sample
-- ARGV[4]  maximum entries of a stream
-- ARGV[5]  maximum order keys, from each end of the index: of those that are due first and last
-- ARGV[6]  maximum updates of an order key
-- ARGV[7]  maximum bytes of each, streams and lists; the entry that exceeds it counts as a message
-- ARGV[8]  maximum vendors to return
--
-- Returns two lists. Of the inbox: vendor, when the entry came (unix ms), flat. Of what waits for a
-- retry: vendor, when the message came (unix ms), its place under its order key, how many contacts
-- have such messages, the message, and the first update under its order key; flat, the oldest first.

local until_ms, left = tonumber(ARGV[2]), tonumber(ARGV[7])

local function holds_message(entry)
  for _, field in ipairs(entry[2]) do
    left = left - #field
    -- A plain search takes a tenth of the time of one for a pattern, in which Redis does nothing else.
    local at = string.find(field, '"messages"', 1, true)
    while at do
      if string.find(field, '^"messages"%s*:%s*%[%s*[^%]%s]', at) then
        return true
      end
      at = string.find(field, '"messages"', at + 1, true)
    end
  end
  return left < 0
end

local inbox = {}
for _, vendor in ipairs(redis.call("SRANDMEMBER", KEYS[1], ARGV[3])) do
  if left < 0 then
    break
  end
  local from = "-"
  for _ = 1, ARGV[4] do
    local entry = redis.call("XRANGE", ARGV[1] .. vendor, from, ARGV[2], "COUNT", 1)[1]
    if not entry then
      break
    end
    if holds_message(entry) then
      inbox[#inbox + 1] = vendor
      inbox[#inbox + 1] = string.match(entry[1], "^%d+")
      break
    end
    from = "(" .. entry[1]
  end
end

left = tonumber(ARGV[7])
local order_keys, inspected = redis.call("ZRANGE", KEYS[2], 0, ARGV[5] - 1), {}
for _, order_key in ipairs(redis.call("ZREVRANGE", KEYS[2], 0, ARGV[5] - 1)) do
  order_keys[#order_keys + 1] = order_key
end
local vendors, oldest = {}, {}
for _, order_key in ipairs(order_keys) do
  local list, first = KEYS[2] .. ":" .. order_key, nil
  for place = 0, inspected[order_key] and -1 or ARGV[6] - 1 do
    local update = left >= 0 and redis.call("LINDEX", list, place)
    if not update then
      break
    end
    left, first = left - #update, first or update
    -- As Update.dump of workers/inbox/update.py writes it.
    local ms = string.match(update, '^{"id":"[^"]*","vendor_uid":"[^"]*","received_at":(%d+),"kind":"message"')
    if ms and tonumber(ms) <= until_ms then
      local vendor = string.match(order_key, "^[^/]*")
      local found = vendors[vendor]
      if not found then
        found = {vendor = vendor, ms = math.huge, contacts = 0}
        vendors[vendor], oldest[#oldest + 1] = found, found
      end
      found.contacts = found.contacts + 1
      if tonumber(ms) < found.ms then
        found.ms, found.place, found.message, found.first = tonumber(ms), place, update, first
      end
      break
    end
  end
  inspected[order_key] = true
end
table.sort(oldest, function(one, other) return one.ms < other.ms end)
local deferred = {}
for index = 1, math.min(#oldest, tonumber(ARGV[8])) do
  local one = oldest[index]
  for _, value in ipairs({
    one.vendor, string.format("%.0f", one.ms), one.place, one.contacts, one.message, one.first
  }) do
    deferred[#deferred + 1] = value
  end
end
return {inbox, deferred}
