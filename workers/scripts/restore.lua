-- Take back an order that this store has lost, from the receipt in its buyer's hands. All or nothing, and once.
--
-- While the lane is not open yet the order is set aside and enters in the order of acceptance (open_lane.lua); afterwards it stands
-- at the end. Its record, its pass mark and its slot are there again at once.
--
-- KEYS  1 settings   2 room           3 shopping       4 ordering  5 served     6 lane      7 lane:open
--       8 lane:accepted   9 lane:bell  10 lane:returned  11 passes  12 order:<id>
-- ARGV  1 entry, as it was accepted   2 order id   3 ticket id   4 pass jti   5 accepted_no
--       6 grace of the slot's backstop, ms   7 life of the record, s   8 life of the bell flag, ms
-- Returns  {'restored', ring}   ring is 1 when a doorbell shall be rung, else 0; also for an order that is known
--          {'lane_recovering'}  the room is not confirmed yet: come again
-- Cost  O(log returned + log slots); about 15 commands.

local entry, order_id, ticket_id, jti = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

if redis.call('EXISTS', KEYS[12]) == 1 then
  return {'restored', 0}
end
local run = run_id()
local clock_ms, hold_ms = room_clock(KEYS[2], run), redis.call('HGET', KEYS[1], 'hold_ms')
if not clock_ms or not hold_ms then
  return {'lane_recovering'}
end

count_on(KEYS[8], ARGV[5])
redis.call('SET', KEYS[12], entry, 'EX', ARGV[7])
redis.call('HSETNX', KEYS[11], jti, order_id)
take_slot(KEYS[3], KEYS[4], KEYS[5], ticket_id, clock_ms + hold_ms + ARGV[6])
if redis.call('GET', KEYS[7]) ~= run then
  redis.call('ZADD', KEYS[10], ARGV[5], entry)
  return {'restored', 0}
end
redis.call('RPUSH', KEYS[6], entry)
return {'restored', redis.call('SET', KEYS[9], '1', 'NX', 'PX', ARGV[8]) and 1 or 0}
