-- Give tickets of a draw's lobby their places once the list is public: the number on the list, or, for one that an earlier store
-- gave out and that is not on it, a place between two numbers, which goes into the addendum by way of the call log.
--
-- KEYS  1–14 as in _shared.lua
-- ARGV  1 token of the controller   2 length of the list   3, 4 … ticket id and place, again and again
-- Returns  how many of the lobby have no number yet (text), or 'not_listed' (out of turn), 'not_leader', 'unconfirmed', 'unpublished'
-- Cost  O(tickets log line); a thousand tickets a call.

if redis.call('GET', KEYS[14]) ~= ARGV[1] then return 'not_leader' end
local sale, fault = read_sale()
if not sale then return fault end
local room = sale.room
if room.draw == 'drawing' then
  redis.call('HSET', ROOM, 'draw', 'listed', 'lobby_size', ARGV[2])
elseif not has_list(room) then
  return 'not_listed'
end

for at = 3, #ARGV, 2 do
  local ticket, place = ARGV[at], tonumber(ARGV[at + 1])
  local stands = tonumber(redis.call('ZSCORE', LINE, ticket) or '')
  if stands and stands < 0 then
    redis.call('ZADD', LINE, ARGV[at + 1], ticket)
    if place ~= math.floor(place) then log(sale, 'addendum', ticket, {number = place, turn = 0}, ARGV[at + 1]) end
  end
end
return whole(redis.call('ZCOUNT', LINE, '-inf', '(0'))
