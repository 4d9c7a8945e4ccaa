//! The tests that every index passes, by port.

mod capacity;
mod deadlines;
mod index;
mod reservations;
mod samples;
mod verification;

use std::time::Duration;

use super::Catalog;

pub use samples::{manifest, mark_verified};

/// Runs the whole suite; `empty` gives an index that holds nothing and was not compared with a
/// store yet.
pub async fn all<C: Catalog>(mut empty: impl AsyncFnMut() -> C) {
    verification::all(&empty().await).await;
    for case in 0..2 {
        // Once with every change pending, once with all of them written.
        let pause = Duration::from_millis(case * 50);
        let mut verified = async || {
            let catalog = empty().await;
            mark_verified(&catalog).await;
            catalog
        };
        index::generations(&verified().await, pause).await;
        index::newest(&verified().await, pause).await;
        index::limits_that_change(&verified().await, pause).await;
        index::listing(&verified().await, pause).await;
        index::filters(&verified().await, pause).await;
        deadlines::all(&verified().await, pause).await;
    }
    reservations::all(&empty().await).await;
    capacity::all(&mut empty).await;
}
