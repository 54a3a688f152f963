-- The figures of a whole line, the same for everybody. Changes nothing.
--
-- KEYS  1–14 as in _shared.lua
-- ARGV  none
-- Returns  JSON: the copies of settings and stock as they are stored, phase, figures, `confirmed`, `leader`; or 'unpublished'
-- Cost  O(fields of the settings and stock copies); a store that is not confirmed yields settings and stock only.

local function copy_of(key)
  local flat, fields = redis.call('HGETALL', key), {}
  for at = 1, #flat, 2 do fields[flat[at]] = flat[at + 1] end
  return fields
end

local settings = read_settings()
if not settings then return 'unpublished' end
local now, room = wall_ms(), read_room()
local stock = numbers(STOCK, {'allotted', 'held', 'sold'})
local line = {
  settings = copy_of(SETTINGS), stock = copy_of(STOCK), now_ms = now,
  confirmed = room ~= nil and stock ~= nil, leader = redis.call('EXISTS', KEYS[14]) == 1,
}
if room and stock then
  line.phase = phase_now(settings, stock, room, now)
  line.room = room
  line.waiting, line.called = redis.call('ZCARD', LINE), redis.call('ZCARD', TURNS)
  line.missed, line.shopping = redis.call('ZCARD', MISSED), redis.call('ZCARD', SHOPPING)
  line.ordering = redis.call('ZCARD', ORDERING)
end
return cjson.encode(line)
