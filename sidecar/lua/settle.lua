-- Record what became of a batch: all of it or nothing, and only while the lease is held.
--
-- KEYS[1]   lease:{name}
-- KEYS[2]   ready:{lane}
-- KEYS[3..] inbox:{lane}:{vendor}, the streams that entries are taken from
-- ARGV[1]   the holder's token
-- ARGV[2]   how many arguments follow for each stream's vendor: the vendor's uid, one per stream
-- then commands, each as the number of its arguments followed by these
--
-- Returns 1, or 0 if the lease is lost; then nothing was done. A stream that has become empty is
-- deleted, and its vendor is no longer ready.

if redis.call("GET", KEYS[1]) ~= ARGV[1] then
  return 0
end
local streams = tonumber(ARGV[2])
local at = 3 + streams
while at <= #ARGV do
  local count = tonumber(ARGV[at])
  redis.call(unpack(ARGV, at + 1, at + count))
  at = at + count + 1
end
for index = 1, streams do
  local stream = KEYS[2 + index]
  if redis.call("XLEN", stream) == 0 then
    redis.call("DEL", stream)
    redis.call("SREM", KEYS[2], ARGV[2 + index])
  end
end
return 1
