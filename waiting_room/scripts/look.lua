-- Look at a ticket: a poll. The first one after the call marks the ticket seen; after a loss it brings the place back. Serves one
-- buyer or several.
--
-- KEYS  1–18 as in _shared.lua
-- ARGV  four for each buyer:
--       1 ticket id   2, 3 number and store id of the ticket that was shown, 0 and '' without one   4 place in a lobby, '' in a FIFO sale
-- Returns  'unconfirmed', 'unpublished', or a list as serve_all's (_shared.lua)
-- Cost  O(log line) for each buyer; about 11 commands, and 2 for each buyer, none of which writes but for a ticket just called, or
--       back after a loss.

local sale, fault = read_sale()
if not sale then return fault end
return serve_all(sale, 4, function(_, at)
  take_back(sale, ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4])
end)
