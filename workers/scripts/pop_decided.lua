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
while taken < #ARGV do
  local head = redis.call('LINDEX', KEYS[1], 0)
  local entry = head and cjson.decode(head)
  if not entry or not decided[entry.late or entry.order_id] then
    break
  end
  redis.call('LPOP', KEYS[1])
  taken = taken + 1
end
return taken
