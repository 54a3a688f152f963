-- Read the tickets of a draw's lobby that have no number though the list is public, some at a time. Changes nothing.
--
-- KEYS  1–14 as in _shared.lua
-- ARGV  1 token of the controller   2 most tickets
-- Returns  {"tickets": "id\nid\n…"} (JSON), or 'not_listed', 'not_leader', 'unconfirmed', 'unpublished'
-- Cost  O(log line + tickets)

if redis.call('GET', KEYS[14]) ~= ARGV[1] then return 'not_leader' end
local sale, fault = read_sale()
if not sale then return fault end
if not has_list(sale.room) then return 'not_listed' end
local found = redis.call('ZRANGEBYSCORE', LINE, '-inf', '(0', 'LIMIT', 0, ARGV[2])
return cjson.encode({tickets = #found > 0 and table.concat(found, '\n') .. '\n' or ''})
