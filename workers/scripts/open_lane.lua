-- Open a lane, or go one step further on the way there. Anybody may call it, as often as they like.
--
-- A sale that was never published before opens at once. A lane whose mark is gone, or was set for another run of the server, has
-- lost orders, or may have: from the moment the room is confirmed receipts are collected for a while, then what came back
-- enters in the order of its acceptance, behind what the store still knows, and the mark is set.
--
-- KEYS  1 lane:open  2 lane:recovery  3 lane:returned  4 lane  5 lane:accepted  6 room
-- ARGV  1 highest accepted_no of a decided order   2 '1' for the first publication of all, else '0'   3 time for receipts, ms
-- Returns  'open' (now or before), 'collecting', or 'waiting' for the room
-- Cost  O(1); O(returned) in the step that opens it.

local run = run_id()
count_on(KEYS[5], ARGV[1])
if redis.call('GET', KEYS[1]) == run then
  return 'open'
end

local function time_is_up()
  local recovery = redis.call('HMGET', KEYS[2], 'run_id', 'until_ms')
  local now = now_ms()
  if recovery[1] ~= run then
    redis.call('HSET', KEYS[2], 'run_id', run, 'until_ms', whole(now + ARGV[3]))
    return false
  end
  return now >= tonumber(recovery[2])
end

if ARGV[2] == '0' then
  if not room_clock(KEYS[6], run) then
    return 'waiting'
  end
  if not time_is_up() then
    return 'collecting'
  end
end
for _, entry in ipairs(redis.call('ZRANGE', KEYS[3], 0, -1)) do
  redis.call('RPUSH', KEYS[4], entry)
end
redis.call('DEL', KEYS[2], KEYS[3])
redis.call('SET', KEYS[1], run)
return 'open'
