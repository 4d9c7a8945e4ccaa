//! The scripts that run inside Redis. Every script touches the keys of one hash tag, may run twice without
//! harm, and takes the time from Redis where it needs one.
//!
//! A record is a hash: `g` generation, `c` created, `e` deadline or nothing, `s` bytes, `x` 1 when
//! all downloads are used, `n` the names of its files, each after a slash, `u` the uses that the
//! index was told of, `r` the room it takes, `l` how many downloads are allowed and left, or nothing where
//! they are not limited, `f` what a listing shows of it, as JSON behind the generation that it is of. Times
//! are milliseconds since the epoch.

/// Replaces the reservation of an upload by the bytes that it takes; 0 for one that is removed.
macro_rules! settle {
    () => {
        "
local function settle(room, of, by, id, bytes)
  local known = tonumber(redis.call('HGET', of, id) or '0')
  local held = tonumber(redis.call('HGET', by, id) or '0')
  if bytes == '0' then redis.call('HDEL', of, id) else redis.call('HSET', of, id, bytes) end
  if tonumber(bytes) ~= known then
    redis.call('HINCRBY', room, 'stored', string.format('%.0f', tonumber(bytes) - known))
  end
  if held ~= 0 then
    redis.call('HDEL', by, id)
    redis.call('HINCRBY', room, 'reserved', string.format('%.0f', -held))
  end
end
"
    };
}
pub(super) use settle;

/// Records an upload. Keys: record, due, all, bytes, marker, and where room is counted on the same
/// server: room, of, by. Arguments: id, generation, created, deadline, when it is due, bytes,
/// spent, names, whether to create it, whether to set its marker, room, its downloads (how many are allowed
/// and left, or nothing), what a listing shows of it.
/// An upload that is recorded once more, by a comparison, gets no new marker: an operator may just
/// have removed it. Answers 0 where a later version is recorded or nothing that it could replace,
/// [`LIMIT_CHANGED`] where the downloads of an upload that was recorded are limited since, or no
/// longer, else 1.
pub const RECORD: &str = concat!(
    "#!lua",
    settle!(),
    r"local known = redis.call('HGET', KEYS[1], 'g')
if known then
  if tonumber(known) > tonumber(ARGV[2]) then return 0 end
elseif ARGV[9] == '0' then
  return 0
end
local before = redis.call('HMGET', KEYS[1], 'r', 's', 'l')
local delta = tonumber(ARGV[11]) - tonumber(before[1] or before[2] or '0')
if delta ~= 0 then redis.call('INCRBY', KEYS[4], string.format('%.0f', delta)) end
redis.call('HSET', KEYS[1], 'g', ARGV[2], 'c', ARGV[3], 'e', ARGV[4], 's', ARGV[6], 'r', ARGV[11], 'x', ARGV[7], 'n', ARGV[8], 'l', ARGV[12], 'f', ARGV[13])
redis.call('ZADD', KEYS[3], ARGV[3], ARGV[1])
if ARGV[5] == '' then redis.call('ZREM', KEYS[2], ARGV[1]) else redis.call('ZADD', KEYS[2], ARGV[5], ARGV[1]) end
if ARGV[10] == '0' or ARGV[4] == '' then
  redis.call('DEL', KEYS[5])
elseif known ~= ARGV[2] then
  redis.call('SET', KEYS[5], '', 'PXAT', ARGV[4])
end
if KEYS[6] then settle(KEYS[6], KEYS[7], KEYS[8], ARGV[1], ARGV[11]) end
if known and (before[3] or '') ~= '' and ARGV[12] == '' then
  redis.call('HDEL', KEYS[1], 'u')
  return 2
end
if known and (before[3] or '') == '' and ARGV[12] ~= '' then return 2 end
return 1"
);
/// The answer of [`RECORD`] that the names of the upload lead to it since, or no longer.
pub const LIMIT_CHANGED: u8 = 2;

/// Removes an upload. Keys: record, due, all, bytes, marker, taken, and where room is counted on
/// the same server: room, of, by. Argument: id.
pub const REMOVE: &str = concat!(
    "#!lua flags=allow-oom",
    settle!(),
    r"local sizes = redis.call('HMGET', KEYS[1], 'r', 's')
local bytes = sizes[1] or sizes[2]
if bytes and bytes ~= '0' then redis.call('DECRBY', KEYS[4], bytes) end
redis.call('DEL', KEYS[1], KEYS[5], KEYS[6])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
if KEYS[7] then settle(KEYS[7], KEYS[8], KEYS[9], ARGV[1], '0') end
return 1"
);

/// Whether an upload is recorded with a deadline behind a time, and has no marker. Keys: record,
/// marker. Argument: the time.
pub const UNMARKED: &str = r"#!lua flags=no-writes
local deadline = redis.call('HGET', KEYS[1], 'e')
if not deadline or deadline == '' or tonumber(deadline) <= tonumber(ARGV[1]) then return 0 end
return 1 - redis.call('EXISTS', KEYS[2])";

/// Adds an upload to the uploads of some names. Keys: the names. Arguments: its order, id.
/// Answers the highest order of all others of these names that is not below its own, else nothing.
pub const NAME: &str = r"#!lua
local highest = ''
for _, key in ipairs(KEYS) do
  redis.call('ZADD', key, ARGV[1], ARGV[2])
  local last = redis.call('ZREVRANGE', key, 0, 1, 'WITHSCORES')
  for i = 1, #last, 2 do
    local order = last[i + 1]
    if last[i] ~= ARGV[2] and tonumber(order) >= tonumber(ARGV[1])
      and (highest == '' or tonumber(order) > tonumber(highest)) then highest = order end
  end
end
return highest";

/// Removes an upload from the uploads of some names. Keys: the names. Argument: id.
pub const UNNAME: &str = r"#!lua flags=allow-oom
for _, key in ipairs(KEYS) do redis.call('ZREM', key, ARGV[1]) end
return 1";

/// Uploads with a file of a name, the newest first. Keys: name, built. Arguments: before which
/// order, and there before which id, how many. Answers whether all of them are known, and each
/// with its order.
pub const NEWEST: &str = r"#!lua flags=no-writes
local found, at = {}, 0
while #found < 2 * ARGV[3] do
  local page = redis.call('ZREVRANGEBYSCORE', KEYS[1], ARGV[1], '-inf', 'WITHSCORES', 'LIMIT', at, ARGV[3])
  if #page == 0 then break end
  at = at + ARGV[3]
  for i = 1, #page, 2 do
    if page[i + 1] ~= ARGV[1] or page[i] < ARGV[2] then
      found[#found + 1] = page[i]
      found[#found + 1] = page[i + 1]
    end
  end
end
local whole = redis.call('GET', KEYS[2]) == string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
return {whole and 1 or 0, found}";

/// Whether a name may lead to an upload, by its record: it is alive, and its downloads are not limited
/// (older versions have recorded the names of such). Keys: record, built. Argument: now.
pub const FOUND: &str = r"#!lua flags=no-writes
local record = redis.call('HMGET', KEYS[1], 'g', 'e', 'x', 'l')
if not record[1] then return 1 end
if (record[4] or '') ~= '' then return 0 end
if record[3] ~= '1' and (record[2] == '' or tonumber(record[2]) > tonumber(ARGV[1])) then return 1 end
local whole = redis.call('GET', KEYS[2]) == string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
return whole and 0 or 1";

/// Uploads that are alive, the newest first. Keys: all, built, and what a record's key begins
/// with (records share its hash tag). Arguments: before which time, and there before which id, how
/// many, now, how many to read, whether those with limited downloads are among them, what their ids
/// begin with, and names between slashes, of which each has one. Answers nothing when some could be unknown, else the time and id of
/// the last one read (nothing at the end), and id and record of each; `?` stands for
/// downloads that the record does not have, as it was written by an older version.
pub const LIST: &str = r"#!lua flags=no-writes
if redis.call('GET', KEYS[2]) ~= string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') then return false end
local found, at, looked = {}, 0, 0
while true do
  local page = redis.call('ZREVRANGEBYSCORE', KEYS[1], ARGV[1], '-inf', 'WITHSCORES', 'LIMIT', at, 100)
  if #page == 0 then return {'', '', found} end
  at = at + 100
  for i = 1, #page, 2 do
    local id = page[i]
    if page[i + 1] ~= ARGV[1] or id < ARGV[2] then
      local record = {}
      if string.sub(id, 1, #ARGV[7]) == ARGV[7] then
        record = redis.call('HMGET', KEYS[3] .. id, 'g', 'c', 'e', 's', 'n', 'l', 'x', 'f')
      end
      local shown = ARGV[6] == '1' or (record[6] or '') == ''
      if record[1] and ARGV[8] then
        local named = false
        for n = 8, #ARGV do named = named or string.find(record[5] .. '/', ARGV[n], 1, true) end
        shown = shown and named
      end
      if record[1] and shown and record[7] ~= '1' and (record[3] == '' or tonumber(record[3]) > tonumber(ARGV[4])) then
        -- Of more names than one, only how many there are.
        if string.find(record[5], '/', 2, true) then record[5] = string.gsub(record[5], '[^/]+', '') end
        found[#found + 1] = {id, record[1], record[2], record[3], record[4], record[5], record[6] or '?', record[8] or ''}
      end
      looked = looked + 1
      if #found == tonumber(ARGV[3]) or looked == tonumber(ARGV[5]) then return {page[i + 1], id, found} end
    end
  end
end";

/// Takes the uploads that are due. Key: due. Arguments: now, how many, when each is due again.
pub const DUE: &str = r"#!lua flags=allow-oom
local time = redis.call('TIME')
local now = math.min(tonumber(ARGV[1]), time[1] * 1000 + math.floor(time[2] / 1000))
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now), 'LIMIT', 0, ARGV[2])
for _, id in ipairs(ids) do redis.call('ZADD', KEYS[1], 'XX', ARGV[3], id) end
return ids";

/// Postpones an upload. Keys: record, due. Arguments: id, until.
pub const POSTPONE: &str = r"#!lua flags=allow-oom
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1]) end
return 1";

/// Reserves one use of each file in a portion of an upload. Keys: taken, record. Arguments: the
/// reservation, the most uses, the generation of the manifest, for how long, the places of the
/// files, each behind a slash (nothing for the form), the most uses of a file in the portion, and then place and uses of
/// each file that has fewer. Answers 0 when it is reserved, 1 when all that are left are reserved, 2
/// when all of a file are spent, 3 when a later manifest is recorded.
pub const RESERVE: &str = r"#!lua
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
local known = redis.call('HGET', KEYS[2], 'g')
if known and tonumber(known) > tonumber(ARGV[3]) then return 3 end
local max, most = tonumber(ARGV[2]), tonumber(ARGV[6])
if most >= max then return 2 end
local used, forms, files = {}, 0, {}
for i = 7, #ARGV, 2 do used[ARGV[i]] = tonumber(ARGV[i + 1]) end
for _, other in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  if other == ARGV[1] then
    -- The command runs once more.
  elseif string.find(other, '/', 1, true) then
    for file in string.gmatch(other, '/(%d+)') do files[file] = (files[file] or 0) + 1 end
  else forms = forms + 1 end
end
local wanted, above = {}, most
for file in string.gmatch(ARGV[5], '%d+') do wanted[file] = true end
for file, reserved in pairs(files) do
  if ARGV[5] == '' or wanted[file] then above = math.max(above, (used[file] or most) + reserved) end
end
if above + forms >= max then return 1 end
redis.call('ZADD', KEYS[1], string.format('%.0f', now + ARGV[4]), ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 0";

/// Prolongs the reservation of a use, unless it was released meanwhile. Key: taken. Arguments:
/// reservation, for how long.
pub const PROLONG: &str = r"#!lua flags=allow-oom
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], 'XX', string.format('%.0f', now + ARGV[2]), ARGV[1])
return redis.call('PEXPIRE', KEYS[1], ARGV[2])";

/// Turns a reserved use into a spent one. Keys: taken, record. Arguments: reservation, uses of the
/// manifest, for older instances.
pub const COMMIT: &str = r"#!lua flags=allow-oom
redis.call('ZREM', KEYS[1], ARGV[1])
if redis.call('EXISTS', KEYS[2]) == 1 and tonumber(redis.call('HGET', KEYS[2], 'u') or '0') < tonumber(ARGV[2]) then
  redis.call('HSET', KEYS[2], 'u', ARGV[2])
end
return 1";

/// Counts the uploads and bytes of a shard. Keys: all, bytes.
pub const STATS: &str = r"#!lua flags=no-writes
return {redis.call('ZCARD', KEYS[1]), redis.call('GET', KEYS[2]) or '0'}";

/// Whether a shard was compared with the store; if not, notes that it is being compared. Key:
/// built. Answers 1, or 0 and the token of the comparison, which all instances that compare at the
/// same time share.
pub const BUILT: &str = r"#!lua
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local built = redis.call('GET', KEYS[1])
if built == run then return {1, ''} end
if not built or string.sub(built, 1, #run) ~= run then
  local time = redis.call('TIME')
  built = run .. ' since ' .. time[1] .. '.' .. time[2]
  redis.call('SET', KEYS[1], built)
end
return {0, built}";

/// Notes that a shard was compared with the store, if the token of the comparison is still there and
/// the server still the same: a server that has lost keys meanwhile has lost the token with them.
/// Key: built. Argument: the token. Answers whether the shard was compared, by this caller or
/// another.
pub const VERIFIED: &str = r"#!lua
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local built = redis.call('GET', KEYS[1])
if built == run then return 1 end
if built ~= ARGV[1] or string.sub(ARGV[1], 1, #run) ~= run then return 0 end
redis.call('SET', KEYS[1], run)
return 1";
