-- End a draw: those who came after the opening get their numbers behind the list, some at a time; after the last one people are called.
--
-- KEYS  1–14 as in _shared.lua
-- ARGV  1 token of the controller   2 most tickets
-- Returns  'drawn', or 'more' (not all have a number yet), 'not_listed', 'not_leader', 'unconfirmed', 'unpublished'
-- Cost  O(tickets log line); some hundred tickets a call.

if redis.call('GET', KEYS[14]) ~= ARGV[1] then return 'not_leader' end
local sale, fault = read_sale()
if not sale then return fault end
local room = sale.room
if room.draw == 'drawn' then return 'drawn' end
if room.draw ~= 'listed' then return 'not_listed' end

local arrived = redis.call('ZRANGEBYSCORE', LINE, '(' .. whole(ARRIVALS), '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[2])
for at = 1, #arrived, 2 do
  redis.call('ZADD', LINE, exact(arrival_place(room, tonumber(arrived[at + 1]) - ARRIVALS)), arrived[at])
end
if #arrived / 2 == tonumber(ARGV[2]) or redis.call('ZCOUNT', LINE, '-inf', '(0') > 0 then return 'more' end
redis.call('HSET', ROOM, 'draw', 'drawn')
return 'drawn'
