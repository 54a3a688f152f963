-- Read the next page of a draw's lobby, in the order of the draw. Changes nothing.
--
-- KEYS  1–14 as in _shared.lua
-- ARGV  1 token of the controller   2, 3 place and id of the ticket before the page, -2 and '' for the first   4 most tickets
-- Returns  {"tickets": "id\nid\n…"} (JSON), no ids at the end of the lobby, or
--          'not_drawing' (the list is not to be made just now), 'not_leader', 'unconfirmed', 'unpublished'
-- Cost  O(log line + page)

-- Tickets of one score stand in the order of their ids. Two of one score are rarer than anything else that may happen here.
local SPARE = 16

if redis.call('GET', KEYS[14]) ~= ARGV[1] then return 'not_leader' end
local sale, fault = read_sale()
if not sale then return fault end
if sale.room.draw ~= 'drawing' then return 'not_drawing' end

-- Only those that share the score of the ticket before the page may stand before it; a score costs more than its ticket to tell.
local last, known = tonumber(ARGV[2]), 0
local begin = redis.call('ZRANGEBYSCORE', LINE, ARGV[2], '(0', 'WITHSCORES', 'LIMIT', 0, SPARE)
for at = 1, #begin, 2 do
  if tonumber(begin[at + 1]) > last or begin[at] > ARGV[3] then break end
  known = known + 1
end
local page = redis.call('ZRANGEBYSCORE', LINE, ARGV[2], '(0', 'LIMIT', known, ARGV[4])
return cjson.encode({tickets = #page > 0 and table.concat(page, '\n') .. '\n' or ''})
