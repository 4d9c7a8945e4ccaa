//! How a file is cut into the parts of a multipart upload.

use std::time::Duration;

/// The size of the first parts, in bytes; a file below it is stored by one request. S3 refuses
/// parts below 5 MiB, but for the last.
pub const PART: usize = 8 * 1024 * 1024;
/// The most parts of one file (S3).
pub const MAX_PARTS: usize = 10_000;
/// After so many parts, the next ones are twice as large.
const PARTS_OF_ONE_SIZE: usize = 500;

/// The size of the part of this number, from 0, where at most `largest` bytes are held: 8 MiB as
/// long as the file is below 4 GiB, then doubling, so that 5 TiB fit into [`MAX_PARTS`] parts.
pub fn size(number: usize, largest: usize) -> usize {
    let doublings = u32::try_from(number / PARTS_OF_ONE_SIZE).unwrap_or(u32::MAX);
    let size = PART.checked_mul(1_usize.checked_shl(doublings).unwrap_or(usize::MAX));
    size.unwrap_or(usize::MAX).min(largest.max(PART))
}

/// How long a part of this number waits for memory to become as large as it may, rather than be
/// sent early: not at all, as long as there are enough of them left.
pub fn memory_wait(number: usize) -> Duration {
    match number < MAX_PARTS / 2 {
        true => Duration::ZERO,
        false => Duration::from_secs(10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn capacity(largest: u64) -> u64 {
        (0..MAX_PARTS)
            .map(|number| size(number, largest as usize) as u64)
            .sum()
    }

    #[test]
    fn five_tebibytes_fit() {
        assert_eq!(size(0, 128 << 20), PART);
        assert_eq!(size(499, 128 << 20), PART);
        assert_eq!(size(500, 128 << 20), 2 * PART);
        assert_eq!(size(MAX_PARTS, 128 << 20), 128 << 20);
        assert_eq!(size(usize::MAX, usize::MAX), usize::MAX);
        // Half of the default budget, and half of 1.5 GiB: see docs/bucket.md and docs/scale.md.
        assert!(capacity(128 * MIB) > 1 << 40);
        assert!(capacity(768 * MIB) > 5 << 40);
        // S3 takes no part above 5 GiB.
        assert!(size(4000, usize::MAX) as u64 <= 5 << 30);
    }
}
