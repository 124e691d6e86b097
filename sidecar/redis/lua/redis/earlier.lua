-- Make everything in these sorted sets due earlier, in the same order: the clock was set back.
--
-- KEYS[1..]  deferred:{lane} or outbox:{kind}:{vendor}  sorted set: members by when they are due
-- ARGV[1]    by how much, in milliseconds
--
-- Returns how many were changed.

local moved = 0
for _, key in ipairs(KEYS) do
  for _, member in ipairs(redis.call("ZRANGE", key, 0, -1)) do
    redis.call("ZINCRBY", key, -ARGV[1], member)
    moved = moved + 1
  end
end
return moved
