-- Run commands: all of them or none, and only while the lease is held.
--
-- KEYS[1]  lease:{name}
-- ARGV[1]  the holder's token
-- then commands, each as the number of its words followed by the words
--
-- Returns 1, or 0 if the lease is lost; then nothing was done.

if redis.call("GET", KEYS[1]) ~= ARGV[1] then
  return 0
end
local at = 2
while at <= #ARGV do
  local words = tonumber(ARGV[at])
  redis.call(unpack(ARGV, at + 1, at + words))
  at = at + words + 1
end
return 1
