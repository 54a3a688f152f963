-- Take decided entries off the head of a lane, and nothing else: stops at the first entry that is not among them.
--
-- KEYS  1 lane
-- ARGV  1… lane ids (of late money the payment id, else the order id) that have been decided or passed over
-- Returns  how many entries were taken
-- Cost  O(entries taken); an entry that is taken again by a second worker is simply not there any more.

local decided = {}
for _, lane_id in ipairs(ARGV) do
  decided[lane_id] = true
end

local taken = 0
for _, waiting in ipairs(redis.call('LRANGE', KEYS[1], 0, #ARGV - 1)) do
  local entry = cjson.decode(waiting)
  if not decided[entry.late or entry.order_id] then
    break
  end
  taken = taken + 1
end
redis.call('LTRIM', KEYS[1], taken, -1)
return taken
