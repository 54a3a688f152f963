-- Write the digest: what processes need to answer the polls of those who wait without asking here (waiting_room/digest.py).
--
-- The first of the line by their exact places, then the ends of stretches from which every rank follows to within half a per cent, down
-- to the last. Only the leader writes it, a few times a second.
--
-- KEYS  1–18 as in _shared.lua
-- ARGV  1 token of the controller
-- Returns  'written', or 'not_leader', 'unconfirmed', 'unpublished'
-- Cost  O(1,000 + stretches log line): a handful where few have left, some 2,000 where most of a million have.

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

local function place_at(rank)
  return redis.call('ZRANGE', LINE, rank, rank, 'WITHSCORES')[2]
end

-- Before a draw nothing shows a place, so no process needs to know one.
local told = (sale.room.draw == '' or sale.room.draw == 'drawn') and digest.waiting or 0
local head, ranks, scores = told > 0 and scores_of(0, EXACT - 1) or {}, {}, {}

-- Tickets that came back after a loss may stand between two numbers of a draw: then gaps cannot be told from the ends of a stretch.
local only_numbers = sale.room.draw == '' or sale.room.lost_ms == 0

-- Notes the end of a stretch of the line in which ranks follow from its two ends to within half a per cent. It is so short, or so few
-- numbers are missing in it: nobody's rank can be further off than by these. Else it is told in halves.
local function tell(rank, score, last, last_score)
  local width, most = last - rank, math.max(1, math.floor(rank * STEP))
  local missing = math.abs(tonumber(last_score) - tonumber(score) - width)
  if width > most and not (only_numbers and missing <= most) then
    local middle = math.floor((rank + last) / 2)
    local middle_score = place_at(middle)
    tell(rank, score, middle, middle_score)
    return tell(middle, middle_score, last, last_score)
  end
  ranks[#ranks + 1], scores[#scores + 1] = whole(last), last_score
end
if told > EXACT then tell(EXACT - 1, head[EXACT], told - 1, place_at(told - 1)) end

local text = '{"now_ms":' .. whole(sale.now) .. ',' .. string.sub(cjson.encode(digest), 2, -2)
  .. ',"head":[' .. table.concat(head, ',')
  .. '],"step_ranks":[' .. table.concat(ranks, ',')
  .. '],"step_scores":[' .. table.concat(scores, ',')
  .. ']}'
redis.call('SET', DIGEST, text)
return 'written'
