-- Write a group of webhooks: each stream's entries, and the counters that count them.
--
-- KEYS[1]  vendors  set: vendors with counters
-- then for each lane:
--          ready:{lane}            set: vendors with a stream that is not empty
--          waiting:{lane}          hash: webhooks in each vendor's stream
--          lease:drain:{lane}      string: held while the lane is drained
--          bell:{lane}             list: at most one ring, for a drain that has nothing left to do
-- then for each stream:
--          inbox:{lane}:{vendor}   stream: webhooks that wait
--          count:{vendor}          hash: the vendor's counters
-- ARGV[1]  how many lanes
-- ARGV[2]  how many streams
-- then for each stream: its lane's place among the lanes, its vendor, how many webhooks are added,
--          how many bytes these are, and how many entries
-- then the entries, in the streams' order, each as the number of its words followed by the words
--
-- Returns a flat list: for each lane, how many vendors were not ready before; for each lane, 1 if it
-- is drained already (the drain looks again before it ends); for each stream, its vendor's stored bytes.

local lanes, streams = tonumber(ARGV[1]), tonumber(ARGV[2])
local ready, vendors, answer = {}, {}, {}
for lane = 1, lanes do
  ready[lane] = {}
end
for stream = 1, streams do
  local head = 5 * stream - 2
  local lane = ready[tonumber(ARGV[head])]
  lane[#lane + 1], vendors[stream] = ARGV[head + 1], ARGV[head + 1]
end
redis.call("SADD", KEYS[1], unpack(vendors))
for lane = 1, lanes do
  local first = 4 * lane - 2
  answer[lane] = redis.call("SADD", KEYS[first], unpack(ready[lane]))
  answer[lanes + lane] = redis.call("EXISTS", KEYS[first + 2])
  if answer[lane] > 0 and answer[lanes + lane] == 1 and redis.call("EXISTS", KEYS[first + 3]) == 0 then
    redis.call("RPUSH", KEYS[first + 3], 1)
  end
end
local at = 5 * streams + 3
for stream = 1, streams do
  local head, key = 5 * stream - 2, 4 * lanes + 2 * stream
  local counters, webhooks = KEYS[key + 1], ARGV[head + 2]
  for _ = 1, ARGV[head + 4] do
    local last = at + ARGV[at]
    redis.call("XADD", KEYS[key], "*", unpack(ARGV, at + 1, last))
    at = last + 1
  end
  redis.call("HINCRBY", KEYS[4 * ARGV[head] - 1], vendors[stream], webhooks)
  redis.call("HINCRBY", counters, "webhooks_received", webhooks)
  answer[2 * lanes + stream] = redis.call("HINCRBY", counters, "stored_bytes", ARGV[head + 3])
end
return answer
