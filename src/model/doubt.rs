//! The uploads that a power cut may have damaged.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Timestamp, UploadId};

/// How long before the last sign of life an upload may have come whose content was not on the disk
/// yet: Linux writes it within half a minute by itself (`vm.dirty_expire_centisecs`), a busy disk
/// later.
const UNWRITTEN: Duration = Duration::from_secs(300);

/// The uploads that are not known to be whole since an unclean end, where answers do not wait for
/// the disk: a file may have its size and not its content.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Doubt {
    /// From when on the uploads came that were not compared with their digests since; `None` when
    /// all were.
    pub since: Option<Timestamp>,
    /// Uploads whose files were found damaged.
    #[serde(default)]
    pub damaged: BTreeSet<UploadId>,
}

impl Doubt {
    /// Adds what came shortly before a store was left uncleanly, of which this is the last sign of
    /// life.
    pub fn add(&mut self, last: Timestamp) {
        let since = last.before(UNWRITTEN);
        self.since = Some(self.since.map_or(since, |before| before.min(since)));
    }

    /// Whether all is known to be whole.
    pub fn is_over(&self) -> bool {
        self.since.is_none() && self.damaged.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_second_cut_brings_into_doubt_takes_nothing_out_of_it() {
        let at = |minutes: i64| Timestamp::from_millis(minutes * 60_000);
        let mut doubt = Doubt::default();
        assert!(doubt.is_over());
        doubt.add(at(100));
        assert_eq!(doubt.since, Some(at(95)));
        doubt.add(at(200));
        assert_eq!(doubt.since, Some(at(95)));
        doubt.add(at(50));
        assert_eq!(doubt.since, Some(at(45)));
        let json = serde_json::to_string(&doubt).unwrap();
        assert_eq!(serde_json::from_str::<Doubt>(&json).unwrap(), doubt);
    }
}
