#!lua flags=no-writes,allow-oom
-- Read what the conservation equation is made of, for some vendors, all of it at one moment.
--
-- KEYS[1]  ledgers                                      hash: campaign -> vendor
-- KEYS[2]  deferred:messages   KEYS[3]  deferred:statuses   sorted sets: order keys
-- KEYS[4]  waiting:messages    KEYS[5]  waiting:statuses    hashes: vendor -> webhooks
-- then for each vendor  count:{vendor}, inbox:messages:{vendor}, inbox:statuses:{vendor}, and
-- outbox:{kind}:{vendor} of the four kinds
-- ARGV[1]  most order keys of a lane that are looked at: each is a list of its own
-- ARGV[2]  what the keys of ledgers begin with
-- ARGV[3..] the vendors
--
-- Returns for each vendor: its counters, flat; for each lane the entries in its stream and the
-- webhooks that were counted into it; how many updates wait in the deferred lists of both lanes (-1
-- if there are too many to look at); how many rows are in its ledgers; how many effects are in its
-- outboxes.

local deferred = {}
local too_many = false
for lane = 1, 2 do
  local index = KEYS[1 + lane]
  if redis.call("ZCARD", index) > tonumber(ARGV[1]) then
    too_many = true
  else
    for _, order_key in ipairs(redis.call("ZRANGE", index, 0, -1)) do
      -- An order key begins with the vendor and a slash (workers/inbox/split.py).
      local vendor = string.match(order_key, "^[^/]*")
      local length = redis.call("LLEN", index .. ":" .. order_key)
      deferred[vendor] = (deferred[vendor] or 0) + length
    end
  end
end
local in_flight = {}
local ledgers = redis.call("HGETALL", KEYS[1])
for index = 1, #ledgers, 2 do
  local rows = redis.call("HLEN", ARGV[2] .. ledgers[index])
  local vendor = ledgers[index + 1]
  in_flight[vendor] = (in_flight[vendor] or 0) + rows
end
local found = {}
for index = 3, #ARGV do
  local vendor = ARGV[index]
  local first = 6 + 7 * (index - 3)
  local effects = 0
  for outbox = first + 3, first + 6 do
    effects = effects + redis.call("ZCARD", KEYS[outbox])
  end
  found[#found + 1] = {
    redis.call("HGETALL", KEYS[first]),
    redis.call("XLEN", KEYS[first + 1]),
    tonumber(redis.call("HGET", KEYS[4], vendor) or "0"),
    redis.call("XLEN", KEYS[first + 2]),
    tonumber(redis.call("HGET", KEYS[5], vendor) or "0"),
    too_many and -1 or deferred[vendor] or 0,
    in_flight[vendor] or 0,
    effects,
  }
end
return found
