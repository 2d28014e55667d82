"""A circuit's steps, each atomic, by Redis TIME.

The key of a circuit is a hash: failures in a row (`failures`) and when the last was (`failed_at`); until when it is
open (`open`, 0: closed; in the past: it waits for a probe) and after which `cooldown`; who probes (`prober`), and until
when that counts (`probe_until`). Times are microseconds.
"""

from typing import Final

from convergence_cluster.metering.shared_state import MICROSECONDS, POLL_S

_KEEP_MS: Final = 3_600_000

_STATE: Final = f"""
local t = redis.call('TIME') local now = t[1] * 1000000 + t[2]
local v = redis.call('HMGET', KEYS[1], 'failures', 'failed_at', 'open', 'cooldown', 'prober', 'probe_until')
local failures, failed_at, open = tonumber(v[1] or 0), tonumber(v[2] or 0), tonumber(v[3] or 0)
local cooldown, prober, probe_until = tonumber(v[4] or 0), v[5] or '', tonumber(v[6] or 0)
local function tell(code)
  redis.call('HSET', KEYS[1], 'failures', failures, 'failed_at', failed_at, 'open', open,
    'cooldown', cooldown, 'prober', prober, 'probe_until', probe_until)
  redis.call('PEXPIRE', KEYS[1], {_KEEP_MS})
  return {{code, open > 0 and math.max(0, open - now) or -1, failures}}
end
"""

REPORT: Final = (
    _STATE
    + """
local token, answered, failed = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local threshold, window, first, longest = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
if open > 0 then
  if token ~= '' and token == prober then
    prober = ''
    if answered > 0 then
      failures, open, cooldown = 0, 0, 0
    elseif failed > 0 then
      cooldown = math.min(longest, cooldown * 2)
      open = now + cooldown
    end
  end
else
  if answered > 0 or now - failed_at > window then failures = 0 end
  if failed > 0 then failures, failed_at = failures + failed, now end
  if failures >= threshold then cooldown, open = first, now + first end
end
return tell(0)
"""
)
"""KEYS the circuit; ARGV token of a probe or nothing, whether something was answered, how many calls failed since, how
many in a row open the circuit within which microseconds, the first and the longest cool-down. While the circuit is open
only its probe counts; a probe of which neither is known is given up. Returns 0, microseconds to the next probe (-1:
closed), failures."""

PROBE: Final = (
    _STATE
    + """
if open == 0 or now < open then return tell(0) end
if prober ~= '' and now < probe_until then
  return {0, math.min(probe_until - now, """
    + str(int(POLL_S / MICROSECONDS))
    + """), failures}
end
prober, probe_until = ARGV[1], now + tonumber(ARGV[2])
return tell(1)
"""
)
"""KEYS the circuit; ARGV a new token, microseconds after which a prober counts as dead. Returns 1 if the caller is the
one probe of the cluster, then as REPORT."""
