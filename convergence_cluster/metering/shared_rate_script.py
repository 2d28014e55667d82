"""The turn at a provider as one atomic step: requests, tokens, places in flight, order of service.

Times are microseconds of Redis TIME. All keys of one limit:

- `state`, a hash: the limits in force (`rpm`, `tpm`, `slots`, each with `..._until`), when the next request
  (`requests`) and the next token (`tokens`) would be due at an even pace, the end of a pause (`paused`), how many
  places are taken (`flying`), how many of them by each process (`held:<process>`).
- `holders`, a sorted set: processes by when their places fall back to the others.
- `line`, a sorted set: waiting processes by when they came or last got a turn. `due`: by when they should have asked
  again.
"""

from typing import Final

WINDOW_US: Final = 60_250_000
"""A minute, and what the network may squeeze it by: calls that leave evenly arrive less so."""
SLACK_US: Final = 500_000
"""Calls may come this much ahead of an even pace, so that no capacity is lost to a late timer."""
REMEMBER_US: Final = 30_000_000
"""A limit that one process was given binds all for this long after its last question."""
LEASE_US: Final = 10_000_000
"""Places of a process that has not asked for this long are free again."""
SETTLE_US: Final = 3_000_000
"""After Redis lost its memory or was away for all, nobody takes a place until everybody has said what they hold."""
TURN_US: Final = 25_000
"""Processes that wait for requests or tokens ask this far apart: together at most 40 times a second."""
PLACE_TURN_US: Final = 10_000
"""Those that wait for a place in flight, of which nobody knows when it is free."""
GRACE_US: Final = 500_000
"""One that is so late for its turn has lost it."""
PATIENCE_US: Final = 500_000
"""A process within its share of the places takes the next one at once unless another has waited for so long."""
KEEP_MS: Final = 3_600_000

_CONSTANTS: Final = (
    f"local WINDOW, SLACK, REMEMBER, LEASE = {WINDOW_US}, {SLACK_US}, {REMEMBER_US}, {LEASE_US} "
    f"local SETTLE, GRACE, PATIENCE, KEEP = {SETTLE_US}, {GRACE_US}, {PATIENCE_US}, {KEEP_MS} "
    f"local TURN, PLACE_TURN = {TURN_US}, {PLACE_TURN_US} "
    "local clock = redis.call('TIME') local now = clock[1] * 1000000 + clock[2] "
)

TAKE: Final = (
    _CONSTANTS
    + """
local state, holders, line, due = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local me, held, correction, known = ARGV[1], tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local FIRST = 8
local names = {'born', 'seen', 'settled', 'requests', 'tokens', 'largest', 'largest_until', 'paused', 'flying',
  'rpm', 'rpm_until', 'tpm', 'tpm_until', 'slots', 'slots_until'}
local stored = redis.call('HMGET', state, unpack(names))
local s = {}
for i, name in ipairs(names) do s[name] = tonumber(stored[i] or 0) end

local function tightest(name, own)
  local ends = name .. '_until'
  if own > 0 and (s[name] == 0 or s[ends] <= now or own <= s[name]) then
    s[name], s[ends] = own, now + REMEMBER
  elseif s[ends] <= now then
    s[name] = 0
  end
  return s[name]
end
local rpm = tightest('rpm', tonumber(ARGV[2]))
local tpm = tightest('tpm', tonumber(ARGV[3]))
local slots = tightest('slots', tonumber(ARGV[4]))

-- Redis has lost its memory, or nobody could reach it: what is in flight will be told by those who made the calls.
local was_away = s.seen > 0 and now - s.seen > LEASE / 2 and s.flying > 0
if s.born == 0 then s.born = now end
if (known > 0 and known ~= s.born) or was_away then s.settled = now + SETTLE end
s.seen = now

if s.largest_until <= now then s.largest = 0 end
for i = FIRST, #ARGV do
  if tonumber(ARGV[i]) >= s.largest then s.largest, s.largest_until = tonumber(ARGV[i]), now + REMEMBER end
end
local per_request = rpm > 0 and (WINDOW + SLACK) / rpm or 0
local per_token = tpm > 0 and (WINDOW + SLACK) / (tpm - math.min(s.largest, tpm / 2)) or 0
if tpm > 0 and correction ~= 0 then
  s.tokens = (correction > 0 and math.max(now, s.tokens) or s.tokens) + correction * per_token
end

if now >= s.settled then
  for _, gone in ipairs(redis.call('ZRANGEBYSCORE', holders, '-inf', now)) do
    s.flying = s.flying - tonumber(redis.call('HGET', state, 'held:' .. gone) or 0)
    redis.call('HDEL', state, 'held:' .. gone)
    redis.call('ZREM', holders, gone)
  end
end
for _, late in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', now)) do
  redis.call('ZREM', line, late)
  redis.call('ZREM', due, late)
end
local wanted = #ARGV - FIRST + 1
local before = tonumber(redis.call('HGET', state, 'held:' .. me) or 0)
if wanted > 0 or held > 0 then redis.call('ZADD', holders, now + LEASE, me) end
local share = slots > 0 and math.max(1, math.floor(slots / math.max(1, redis.call('ZCARD', holders)))) or 0
local rank = redis.call('ZRANK', line, me)
local is_in_line = rank and true or false
local n_line = redis.call('ZCARD', line)
local is_alone = n_line == (is_in_line and 1 or 0)
rank = rank or n_line
-- What others gave back may be there before the first in line comes for it; who is here now may have that.
local first, came = unpack(redis.call('ZRANGE', line, 0, 0, 'WITHSCORES'))
local is_patient = not first or now - came < PATIENCE
local is_ahead_of_time = first and redis.call('ZSCORE', due, first) - GRACE > now + 2 * TURN or false

local flying, granted, ready = s.flying - before + held, 0, now
for i = FIRST, #ARGV do
  ready = math.max(now, s.paused)
  if rpm > 0 then ready = math.max(ready, s.requests - SLACK) end
  if tpm > 0 then ready = math.max(ready, s.tokens - SLACK) end
  local is_full = slots > 0 and (flying >= slots or s.settled > now)
  local is_below = slots > 0 and held + granted < share
  local is_turn = (is_below and is_patient)
    or ((rank == 0 or is_ahead_of_time) and (slots == 0 or is_alone or is_below or granted == 0))
  if ready > now or is_full or not is_turn then
    if slots > 0 and s.settled > now then ready = math.max(ready, s.settled) end
    break
  end
  if rpm > 0 then s.requests = math.max(now, s.requests) + per_request end
  if tpm > 0 then s.tokens = math.max(now, s.tokens) + math.min(tonumber(ARGV[i]) * per_token, WINDOW + SLACK) end
  flying, granted = flying + 1, granted + 1
end

local wait = 0
if granted < wanted then
  if granted > 0 or not is_in_line then
    redis.call('ZADD', line, now, me)
    rank = redis.call('ZRANK', line, me)
  end
  wait = ready > now and ready - now + rank * TURN or (rank + 1) * PLACE_TURN
  redis.call('ZADD', due, now + wait + GRACE, me)
  redis.call('PEXPIRE', line, KEEP)
  redis.call('PEXPIRE', due, KEEP)
elseif is_in_line then
  redis.call('ZREM', line, me)
  redis.call('ZREM', due, me)
end

held, s.flying = held + granted, flying
if held > 0 then
  redis.call('HSET', state, 'held:' .. me, held)
else
  redis.call('HDEL', state, 'held:' .. me)
  if wanted == 0 then redis.call('ZREM', holders, me) end
end
local fields = {'limited', math.max(s.rpm_until, s.tpm_until, s.slots_until)}
for _, name in ipairs(names) do
  fields[#fields + 1] = name
  fields[#fields + 1] = s[name]
end
redis.call('HSET', state, unpack(fields))
redis.call('PEXPIRE', state, KEEP)
redis.call('PEXPIRE', holders, KEEP)
return {granted, math.ceil(wait), s.born, slots > 0 and 1 or 0, tpm > 0 and 1 or 0}
"""
)
"""KEYS state, holders, line, due; ARGV process, rpm, tpm, slots (0: not limited), how many places this process holds
now, tokens to book beyond (negative: give back), the `born` it knows, then the tokens of each waiting call in order.

What is held is stated, not changed, so that a question whose answer was lost can be asked again. Returns how many of
the calls may go, after how many microseconds to ask for the rest, `born`, and whether places and tokens are limited.
"""

PAUSE: Final = (
    _CONSTANTS
    + """
local ends = math.max(tonumber(redis.call('HGET', KEYS[1], 'paused') or 0), now + tonumber(ARGV[1]))
redis.call('HSET', KEYS[1], 'paused', ends)
redis.call('PEXPIRE', KEYS[1], math.max(KEEP, math.ceil((ends - now) / 1000)))
return {1}
"""
)
"""KEYS state; ARGV microseconds from now during which no call may start."""
