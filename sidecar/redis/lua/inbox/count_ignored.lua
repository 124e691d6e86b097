-- Included in other scripts: sidecar/redis/client.py replaces their "include" line with it.
-- Count ignored updates of one vendor and reason, and keep the last of them. The words of
-- sidecar/inbox/ignored.py, from ARGV[first] on:
--
--  1  ignored                sorted set: vendors, by when one of theirs was last ignored (unix ms)
--  2  ignored:{vendor}       hash: {reason}: how many; @{reason}: when the last was (unix ms)
--  3  ignored:{vendor}:last  hash: {reason}: the last one
--  4  ignored:at:{slice}     hash: {vendor} {reason}: customers' messages of some minutes
--  5  the vendor
--  6  the reason's name
--  7  how many
--  8  how many of these are customers' messages that somebody should look at
--  9  now, unix ms
-- 10  the last one
-- 11  the name of all further reasons
-- 12  maximum reasons of a vendor
-- 13  maximum vendors
-- 14  maximum fields of a slice
-- 15  for how many seconds counts are kept after the last one
-- 16  for how many seconds the last one is
-- 17  for how many seconds a slice is
-- 18  the prefix of 2 and 3

local function count_ignored(words, first)
  local function word(number)
    return words[first + number - 1]
  end
  local vendors, counts, lasts, slice = word(1), word(2), word(3), word(4)
  local vendor, reason, now = word(5), word(6), tonumber(word(9))
  if redis.call("HEXISTS", counts, reason) == 0
    and redis.call("HLEN", counts) >= 2 * tonumber(word(12)) then
    reason = word(11)
  end
  redis.call("HINCRBY", counts, reason, word(7))
  redis.call("HSET", counts, "@" .. reason, word(9))
  redis.call("EXPIRE", counts, word(15))
  -- The last one of another reason is not kept for longer because this one is there.
  local found = redis.call("HGETALL", counts)
  for index = 1, #found, 2 do
    if string.sub(found[index], 1, 1) == "@"
      and tonumber(found[index + 1]) < now - 1000 * tonumber(word(16)) then
      redis.call("HDEL", lasts, string.sub(found[index], 2))
    end
  end
  redis.call("HSET", lasts, reason, word(10))
  redis.call("EXPIRE", lasts, word(16))
  redis.call("ZADD", vendors, word(9), vendor)
  if redis.call("ZCARD", vendors) > tonumber(word(13)) then
    local oldest = redis.call("ZPOPMIN", vendors)[1]
    redis.call("DEL", word(18) .. oldest, word(18) .. oldest .. ":last")
  end
  if tonumber(word(8)) > 0 then
    local field = vendor .. " " .. reason
    if redis.call("HEXISTS", slice, field) == 0
      and redis.call("HLEN", slice) >= tonumber(word(14)) then
      field = "(others) " .. word(11)
    end
    redis.call("HINCRBY", slice, field, word(8))
    redis.call("EXPIRE", slice, word(17))
  end
end
