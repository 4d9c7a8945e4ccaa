//! The id that a request can be found by in the log.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, HeaderName};

/// The header that carries a request's id in and out.
pub const FIELD: HeaderName = HeaderName::from_static("x-request-id");
/// The most characters of an id that a client or a proxy gives.
const ID_LIMIT: usize = 64;

/// The id a proxy or a client gave, if it is fit for a log; else a new one.
pub fn of(headers: &HeaderMap) -> String {
    let fit = |id: &&str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        !id.is_empty() && id.len() <= ID_LIMIT && id.bytes().all(plain)
    };
    let given = headers.get(FIELD).and_then(|value| value.to_str().ok());
    given.filter(fit).map_or_else(new_id, str::to_owned)
}

/// A number that no other request of this process has, and of others hardly any: all of them in
/// the order of a generator (SplitMix64), which begins anywhere.
fn new_id() -> String {
    static NEXT: LazyLock<AtomicU64> = LazyLock::new(|| {
        let mut random = [0; 8];
        // An id that is not unique is better than a request that fails for want of one.
        let _ = getrandom::fill(&mut random);
        AtomicU64::new(u64::from_be_bytes(random))
    });
    let mut id = NEXT.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
    id = (id ^ (id >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    id = (id ^ (id >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    format!("{:016x}", id ^ (id >> 31))
}
