-- What only the operator watches of a line: who leads it, how the lane stands, what a loss left unknown, and counts of events.
-- Changes nothing.
--
-- KEYS  1–16 as in _shared.lua   17 standby
-- ARGV  none
-- Returns  JSON; of a store that is not confirmed what concerns leaders and the lane only
-- Cost  O(log controllers)

local STANDS_BY_MS = 5000

local now, room, holder = wall_ms(), read_room(), redis.call('GET', KEYS[14])
local seen = {
  now_ms = now,
  leader = holder and string.match(holder, '^(.+)~') or '',
  standby = redis.call('ZCOUNT', KEYS[17], whole(now - STANDS_BY_MS), '+inf'),
  lane_depth = redis.call('LLEN', KEYS[16]), lane_age_ms = lane_age_ms(KEYS[16], now),
}
if room then
  local counted = redis.call('HMGET', ROOM, 'count_call', 'count_miss', 'count_lapse', 'count_left')
  seen.ticked_ms, seen.lost_ms, seen.settled_ms = room.wall_ms, room.lost_ms, room.settled_ms
  seen.unknown_slots = room.clock_ms < room.unknown_until_ms and room.unknown_slots or 0
  seen.quiet_ms = math.max(0, room.quiet_until_ms - room.clock_ms)
  seen.calls, seen.missed = tonumber(counted[1] or 0), tonumber(counted[2] or 0)
  seen.lapsed, seen.left = tonumber(counted[3] or 0), tonumber(counted[4] or 0)
end
return cjson.encode(seen)
