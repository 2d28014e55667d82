"""The board's Lua: each script is one atomic step, and reads no clock but the server's.

Keys of one task are a hash: `attempt`, `calls`, and, once claimed, `owner` and `until` (microseconds of Redis TIME).
"""

from typing import Final

_NOW: Final = "local t = redis.call('TIME') local now = t[1] * 1000000 + t[2] "
_FENCE: Final = (
    "local f = tonumber(redis.call('GET', KEYS[1]) or '0') "
    "if f > tonumber(ARGV[1]) then return redis.error_reply('FENCED another coordinator has taken over') end "
)

LEAD: Final = _FENCE + "redis.call('SET', KEYS[1], ARGV[1]) return 1"
"""KEYS fence; ARGV token."""

REGISTER: Final = (
    _FENCE
    + """
for i = 4, #ARGV, 3 do
  local key = KEYS[3] .. ARGV[i]
  redis.call('DEL', key)
  redis.call('HSET', key, 'attempt', ARGV[i + 1], 'calls', ARGV[i + 2], 'study', ARGV[2])
  redis.call('SADD', KEYS[2], ARGV[i])
end
redis.call('SET', KEYS[5] .. ARGV[2], 1, 'EX', 604800)
return redis.call('EXISTS', KEYS[4] .. ARGV[3])
"""
)
"""KEYS fence, set of tasks, prefixes of tasks, of contents and of known studies; ARGV token, study, digest,
(task, attempt, calls)*. A study is known for a week.

Returns 1 if the study's content is there.
"""

FORGET: Final = (
    _FENCE
    + """
local n = 0
for i = 2, #ARGV do
  n = n + redis.call('DEL', KEYS[3] .. ARGV[i])
  redis.call('SREM', KEYS[2], ARGV[i])
end
return n
"""
)
"""KEYS fence, set of tasks, prefix of tasks; ARGV token, task*."""

DROP: Final = (
    _FENCE
    + """
redis.call('XACK', KEYS[2], ARGV[2], unpack(ARGV, 3))
return redis.call('XDEL', KEYS[2], unpack(ARGV, 3))
"""
)
"""KEYS fence, stream of results; ARGV token, group, entry*. A coordinator that was replaced drops nothing."""

REVOKE: Final = (
    _FENCE
    + """
local revoked = {}
for i = 2, #ARGV do
  local key = KEYS[3] .. ARGV[i]
  if redis.call('HEXISTS', key, 'owner') == 0 then
    redis.call('DEL', key)
    redis.call('SREM', KEYS[2], ARGV[i])
    revoked[#revoked + 1] = ARGV[i]
  end
end
return revoked
"""
)
"""Takes back the tasks that nobody has begun; arguments as FORGET's. Returns those."""

CLAIM: Final = (
    _NOW
    + """
local task = redis.call('HMGET', KEYS[1], 'attempt', 'owner')
if not task[1] then
  if redis.call('EXISTS', KEYS[2]) == 0 then return 'stranger' end
  return 'unknown'
end
if task[1] ~= ARGV[1] then return 'stale' end
if task[2] and task[2] ~= ARGV[2] then return 'held' end
redis.call('HSET', KEYS[1], 'owner', ARGV[2], 'until', string.format('%.0f', now + ARGV[3]))
return 'claimed'
"""
)
"""KEYS task, its study among the known ones; ARGV attempt, owner, lease in microseconds.

An attempt is begun once; its owner may ask again, for an answer may have been lost.
"""

RENEW: Final = (
    _NOW
    + """
local kept = {}
for i = 2, #ARGV, 2 do
  local key = KEYS[1] .. ARGV[i]
  if redis.call('HGET', key, 'owner') == ARGV[i + 1] then
    redis.call('HSET', key, 'until', string.format('%.0f', now + ARGV[1]))
    kept[#kept + 1] = ARGV[i]
  end
end
return kept
"""
)
"""KEYS prefix of tasks; ARGV lease in microseconds, (task, owner)*. Returns the tasks that are still the owner's."""

INSPECT: Final = (
    _NOW
    + """
local states = {}
for i = 1, #ARGV do
  local task = redis.call('HMGET', KEYS[1] .. ARGV[i], 'attempt', 'owner', 'until', 'extra')
  local state = 'missing'
  if task[1] then
    state = 'waiting'
    if task[2] then
      state = 'held'
      if tonumber(task[3]) <= now then state = 'expired' end
    end
  end
  states[2 * i - 1] = state
  states[2 * i] = tonumber(task[4] or '0')
end
return states
"""
)
"""KEYS prefix of tasks; ARGV task*.

Returns for each its state (missing, waiting, held or expired) and how many attempts beyond the calls' first it took.
"""

BEAT: Final = (
    _NOW
    + """
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now)) do
  redis.call('ZREM', KEYS[1], gone)
  redis.call('HDEL', KEYS[2], gone)
end
return 1
"""
)
"""KEYS workers by end of life, slots by worker; ARGV worker, lease in microseconds, slots."""

SLOTS: Final = (
    _NOW
    + """
local total, n = 0, 0
for _, worker in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], string.format('(%.0f', now), '+inf')) do
  total = total + tonumber(redis.call('HGET', KEYS[2], worker) or '0')
  n = n + 1
end
return {n, total}
"""
)
"""KEYS as BEAT's. Returns how many workers live, and their slots in all."""

TAKE: Final = """
if tonumber(redis.call('HGET', KEYS[1], 'attempts') or '0') < 1 then return 0 end
if tonumber(redis.call('HGET', KEYS[1], 'usd') or '0') + 1e-12 < tonumber(ARGV[1]) then return 0 end
if redis.call('HGET', KEYS[2], 'owner') ~= ARGV[2] then return 0 end
redis.call('HINCRBY', KEYS[1], 'attempts', -1)
redis.call('HINCRBY', KEYS[2], 'extra', 1)
return 1
"""
"""KEYS allowance of a study, task; ARGV bound in USD, owner. Takes an attempt beyond a call's first, if it fits."""

GRANT: Final = (
    _FENCE
    + """
local was_there = redis.call('EXISTS', KEYS[2])
local left = tonumber(redis.call('HGET', KEYS[2], 'attempts') or '0') + tonumber(ARGV[2])
if left < 0 then left = 0 end
redis.call('HSET', KEYS[2], 'attempts', string.format('%.0f', left), 'usd', ARGV[3])
return {left, was_there}
"""
)
"""KEYS fence, allowance of a study; ARGV token, change in attempts, bound of each in USD.

Returns what is left, and whether there was anything before.
"""
