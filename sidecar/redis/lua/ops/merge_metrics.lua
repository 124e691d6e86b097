#!lua flags=allow-oom
-- Add to what all processes have counted, and say that this one lives.
-- It is also done when Redis is full: somebody will want to know why, and it takes no room to speak of.
--
-- KEYS[1]  metrics       hash: series -> number
-- KEYS[2]  processes     set: ids
-- KEYS[3]  process:{id}  string, expires: what the process says of itself
-- ARGV[1]  the process's id
-- ARGV[2]  what it says of itself, or "" if that is not due
-- ARGV[3]  how long that is kept, in milliseconds
-- ARGV[4..] pairs of a series and what is to be added to it

for index = 4, #ARGV, 2 do
  redis.call("HINCRBYFLOAT", KEYS[1], ARGV[index], ARGV[index + 1])
end
if ARGV[2] ~= "" then
  redis.call("SADD", KEYS[2], ARGV[1])
  redis.call("SET", KEYS[3], ARGV[2], "PX", ARGV[3])
end
return 1
