-- Included by scripts that know when a recipient may have more. The state of a pair is a string,
-- began.written:due: since when a burst counts, what Redis's clock said when that was written, and when
-- the next message is due. If the clock says less now, it was set back, and the others move with it.
-- An older version wrote began:due, and its workers may run beside these: they read `written` as the
-- fraction of a number.

-- What such a version wrote counts for nothing if it lies further ahead.
local LONGEST_PAIR = 1100000000

local function write_pair(key, now, began, due)
  local state = string.format("%.0f.%.0f:%.0f", began, now, due)
  redis.call("SET", key, state, "PX", math.max(1, math.ceil((due - now) / 1000)))
end

-- Return `began` and `due` as they count now, or nothing.
local function read_pair(key, now)
  local state = redis.call("GET", key)
  if not state then
    return
  end
  local began, written, due = string.match(state, "^(%d+)%.?(%d*):(%d+)$")
  began, due, written = tonumber(began), tonumber(due), tonumber(written)
  if not due or not written and due > now + LONGEST_PAIR then
    return
  end
  local back = math.max(0, (written or 0) - now)
  began, due = math.max(0, began - back), due - back
  if back > 0 then
    write_pair(key, now, began, due)
  end
  return began, due
end
