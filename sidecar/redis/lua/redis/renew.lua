-- Renew or release a lease that is still held.
--
-- KEYS[1]  lease:{name}
-- ARGV[1]  the holder's token
-- ARGV[2]  how long it lasts from now, in milliseconds; 0 releases it
--
-- Returns 1, or 0 if the lease is lost.

if redis.call("GET", KEYS[1]) ~= ARGV[1] then
  return 0
end
if ARGV[2] == "0" then
  redis.call("DEL", KEYS[1])
else
  redis.call("PEXPIRE", KEYS[1], ARGV[2])
end
return 1
