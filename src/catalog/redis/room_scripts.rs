//! The scripts that count the room of the store inside Redis. All keys have the tag `lead`, so that
//! one script sees all of them:
//!
//! - `room`, a hash: `stored` is the sum of all that is recorded, `reserved` that of all
//!   reservations;
//! - `room:of:N`, hashes of 64 shards: what each recorded upload takes;
//! - `room:by:PROCESS`, hashes: what each process has reserved for its uploads;
//! - `room:holders`, a sorted set: until when the reservations of each process last;
//! - `built`, as in the shards: on which run of the server the index was compared with the store.
//!
//! Where the record of an upload lies on another server than the room, the record is changed first:
//! until its room is counted as stored it is reserved, and a comparison of store and index finds
//! the uploads that a crash has left between the two steps.

use super::scripts::settle;

/// Releases the reservations of processes that did not renew them, and reads the stored bytes.
macro_rules! refresh {
    () => {
        "
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, process in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now))) do
  local sum = 0
  for _, bytes in ipairs(redis.call('HVALS', KEYS[3] .. process)) do sum = sum + bytes end
  redis.call('HINCRBY', KEYS[1], 'reserved', string.format('%.0f', -sum))
  redis.call('DEL', KEYS[3] .. process)
  redis.call('ZREM', KEYS[2], process)
end
local stored = tonumber(redis.call('HGET', KEYS[1], 'stored') or '0')
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local whole = redis.call('GET', KEYS[4]) == run
"
    };
}

/// Reserves room, as [`Ask::grant`](crate::catalog::Ask::grant) says. Keys: room, holders, what
/// `by` begins with, built. Arguments: process, id, want, need, alone, max, for how long, the
/// least that is counted as stored, for how many other uploads the process has reserved room.
/// Answers the reserved bytes, or -1, or -2 if Redis does not know the reservations of the process;
/// the stored bytes; whether that is all of them.
pub const RESERVE: &str = concat!(
    "#!lua",
    refresh!(),
    "if ARGV[9] ~= '0' and not redis.call('ZSCORE', KEYS[2], ARGV[1]) then return {-2, stored, whole and 1 or 0} end
local by = KEYS[3] .. ARGV[1]
local before = tonumber(redis.call('HGET', by, ARGV[2]) or '0')
local others = tonumber(redis.call('HGET', KEYS[1], 'reserved') or '0') - before
local taken = stored
if not whole then taken = math.max(stored, tonumber(ARGV[8])) end
local free = tonumber(ARGV[6]) - taken - others
local want, need = tonumber(ARGV[3]), tonumber(ARGV[4])
local granted = -1
if want <= free then
  granted = want
else
  if others == 0 then need = math.min(need, tonumber(ARGV[5])) end
  if need <= free then
    local half = math.floor(math.max(free - before, 0) / 8192) * 4096
    granted = math.max(need, math.min(free, before + half))
  end
end
local delta = math.max(granted, 0) - before
if delta ~= 0 then redis.call('HINCRBY', KEYS[1], 'reserved', string.format('%.0f', delta)) end
if granted < 0 then
  redis.call('HDEL', by, ARGV[2])
else
  redis.call('HSET', by, ARGV[2], string.format('%.0f', granted))
  redis.call('ZADD', KEYS[2], string.format('%.0f', now + ARGV[7]), ARGV[1])
end
return {granted, stored, whole and 1 or 0}"
);

/// Prolongs the reservations of a process. Keys: as of [`RESERVE`]. Arguments:
/// process, for how long. Answers 0 if Redis knows none of them, else 1; the stored bytes; whether
/// that is all of them.
pub const RENEW: &str = concat!(
    "#!lua flags=allow-oom",
    refresh!(),
    "local held = redis.call('ZSCORE', KEYS[2], ARGV[1])
if held then redis.call('ZADD', KEYS[2], string.format('%.0f', now + ARGV[2]), ARGV[1]) end
return {held and 1 or 0, stored, whole and 1 or 0}"
);

/// Restores the reservations of a process that did not renew them in time, or that Redis has lost.
/// Keys: room, holders, by. Arguments: process, for how long, and of each upload
/// its id and bytes.
pub const RESTORE: &str = r"#!lua flags=allow-oom
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local delta = 0
for i = 3, #ARGV, 2 do
  delta = delta + ARGV[i + 1] - tonumber(redis.call('HGET', KEYS[3], ARGV[i]) or '0')
  redis.call('HSET', KEYS[3], ARGV[i], ARGV[i + 1])
end
redis.call('HINCRBY', KEYS[1], 'reserved', string.format('%.0f', delta))
redis.call('ZADD', KEYS[2], string.format('%.0f', now + ARGV[2]), ARGV[1])
return 1";

/// Releases the reservations of uploads. Keys: room, by. Arguments: their ids.
pub const RELEASE: &str = r"#!lua flags=allow-oom
local sum = 0
for _, id in ipairs(ARGV) do
  sum = sum + tonumber(redis.call('HGET', KEYS[2], id) or '0')
  redis.call('HDEL', KEYS[2], id)
end
if sum ~= 0 then redis.call('HINCRBY', KEYS[1], 'reserved', string.format('%.0f', -sum)) end
return 1";

/// Counts the bytes of an upload. Keys: room, of, by. Arguments: id, bytes.
pub const SETTLE: &str = concat!(
    "#!lua flags=allow-oom",
    settle!(),
    "settle(KEYS[1], KEYS[2], KEYS[3], ARGV[1], ARGV[2])
return 1"
);
