-- Record a change of configuration, so that every process learns of it.
--
-- KEYS[1]  config:version  string: the id of the last change
-- KEYS[2]  config:changes  stream: the last changes (sidecar/php/config_feed.py)
-- ARGV[1]  how many changes to keep, about
-- ARGV[2]  the change
--
-- Returns the id of the change. Ids are made of the time, so none repeats, even if Redis was
-- wiped or has gone back in time.

local id = redis.call("XADD", KEYS[2], "MAXLEN", "~", ARGV[1], "*", "change", ARGV[2])
redis.call("SET", KEYS[1], id)
return id
