-- Take a campaign's halt away, unless it is another one by now.
--
-- KEYS[1]  halt:{campaign}
-- ARGV[1]  the halt as it was found
--
-- Returns 1 if it was taken away, or 0.

if redis.call("GET", KEYS[1]) ~= ARGV[1] then
  return 0
end
return redis.call("DEL", KEYS[1])
