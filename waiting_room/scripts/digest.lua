-- Write the digest: what processes need to answer the polls of those who wait without asking here (waiting_room/digest.py).
--
-- The first of the line by their exact places, then one place every half per cent of rank, down to the last. Only the leader writes
-- it, a few times a second.
--
-- KEYS  1–18 as in _shared.lua
-- ARGV  1 token of the controller
-- Returns  'written', or 'not_leader', 'unconfirmed', 'unpublished'
-- Cost  O(1,000 + log²(line)): a line of a million takes 1,400 single looks at the sorted set, one of ten thousand 460.

local LEASE, DIGEST = KEYS[14], KEYS[17]
local EXACT, STEP = 1000, 0.005

if redis.call('GET', LEASE) ~= ARGV[1] then return 'not_leader' end
local sale, fault = read_sale()
if not sale then return fault end

local digest = around(sale)
digest.gate, digest.now_serving = sale.room.gate, sale.room.now_serving
digest.now_ms = nil  -- stands first, where digest_news.lua looks for it

-- Scores stay the text that Redis gives: JSON made of them loses no digit.
local function scores_of(first, last)
  local flat, scores = redis.call('ZRANGE', LINE, first, last, 'WITHSCORES'), {}
  for at = 2, #flat, 2 do scores[#scores + 1] = flat[at] end
  return scores
end

-- Before a draw nothing shows a place, so no process needs to know one.
local told = (sale.room.draw == '' or sale.room.draw == 'drawn') and digest.waiting or 0
local head, ranks, scores = told > 0 and scores_of(0, EXACT - 1) or {}, {}, {}
local rank, last = EXACT - 1, told - 1
while rank < last do
  rank = math.min(last, rank + math.max(1, math.floor(rank * STEP)))
  ranks[#ranks + 1] = whole(rank)
  scores[#scores + 1] = redis.call('ZRANGE', LINE, rank, rank, 'WITHSCORES')[2]
end

local text = '{"now_ms":' .. whole(sale.now) .. ',' .. string.sub(cjson.encode(digest), 2, -2)
  .. ',"head":[' .. table.concat(head, ',')
  .. '],"step_ranks":[' .. table.concat(ranks, ',')
  .. '],"step_scores":[' .. table.concat(scores, ',')
  .. ']}'
redis.call('SET', DIGEST, text)
return 'written'
