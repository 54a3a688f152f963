-- Give tickets of a draw's lobby their places once the list is public: the number on the list, or, for one that an earlier store
-- gave out and that is not on it, a place between two numbers, which goes into the addendum by way of the call log.
--
-- KEYS  1–14 as in _shared.lua
-- ARGV  1 token of the controller   2 length of the list   3 number of the first ticket of a part of the list
--       4 that part, ids of 14 characters one behind the other   5, 6 … ticket id and place, again and again
-- Returns  how many of the lobby have no number yet (text), or 'not_listed' (out of turn), 'not_leader', 'unconfirmed', 'unpublished'
-- Cost  O(tickets log line); some hundred tickets a call.

local ID_LENGTH = 14

if redis.call('GET', KEYS[14]) ~= ARGV[1] then return 'not_leader' end
local sale, fault = read_sale()
if not sale then return fault end
local room = sale.room
if room.draw == 'drawing' then
  redis.call('HSET', ROOM, 'draw', 'listed', 'lobby_size', ARGV[2])
elseif not has_list(room) then
  return 'not_listed'
end

-- With one command for each thing that is asked or done: a million tickets go this way.
local first, part = tonumber(ARGV[3]), {}
for at = 1, #ARGV[4], ID_LENGTH do part[#part + 1] = string.sub(ARGV[4], at, at + ID_LENGTH - 1) end
if #part > 0 then
  local stands, places = redis.call('ZMSCORE', LINE, unpack(part)), {}
  for at, ticket in ipairs(part) do
    -- Places of the lobby are the only ones below 0. Who has left, or has a number already, is passed over.
    if stands[at] and string.byte(stands[at]) == 45 then
      places[#places + 1], places[#places + 2] = first + at - 1, ticket
    end
  end
  if #places > 0 then redis.call('ZADD', LINE, 'XX', unpack(places)) end
end

for at = 5, #ARGV, 2 do
  local ticket, place = ARGV[at], tonumber(ARGV[at + 1])
  local stands = tonumber(redis.call('ZSCORE', LINE, ticket) or '')
  if stands and stands < 0 then
    redis.call('ZADD', LINE, ARGV[at + 1], ticket)
    if place ~= math.floor(place) then log(sale, 'addendum', ticket, {number = place, turn = 0}, ARGV[at + 1]) end
  end
end
return whole(redis.call('ZCOUNT', LINE, '-inf', '(0'))
