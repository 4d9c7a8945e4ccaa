//! The room of a store that has a cap.

use std::collections::HashMap;
use std::sync::Arc;

use super::samples::{manifest, mark_verified};
use crate::catalog::{Ask, Capacity, Catalog};
use crate::model::{Manifest, ROOM_UNIT, UploadId};

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

fn capacity(catalog: &dyn Catalog) -> Arc<dyn Capacity> {
    catalog.capacity().expect("it counts the room")
}

fn ask(want: u64, need: u64, alone: u64, max: u64) -> Ask {
    Ask {
        want: want * ROOM_UNIT,
        need: need * ROOM_UNIT,
        alone: alone * ROOM_UNIT,
        max: max * ROOM_UNIT,
    }
}

/// Runs the suite; `empty` gives an index that holds nothing and was not compared with a store yet.
pub async fn all<C: Catalog>(empty: &mut impl AsyncFnMut() -> C) {
    reserved_becomes_stored(&empty().await).await;
    what_is_stored_is_not_known_before_the_comparison(&empty().await).await;
    for seed in 1..4 {
        as_the_model_says(&empty().await, seed).await;
    }
}

async fn reserved_becomes_stored(catalog: &dyn Catalog) {
    let capacity = capacity(catalog);
    mark_verified(catalog).await;
    let (mut first, second) = (manifest(1, &["a", "b"]), manifest(2, &["c"]));
    let reserve = async |upload: &Manifest, units: u64| {
        let ask = ask(units, units, units, 10);
        capacity.reserve_room(&upload.id, ask).await.unwrap()
    };
    assert_eq!(reserve(&first, 4).await, Some(4 * ROOM_UNIT));
    assert_eq!(reserve(&second, 6).await, Some(6 * ROOM_UNIT));
    assert_eq!(capacity.stored_room().await.unwrap(), Some(0));
    assert!(catalog.record(&first).await.unwrap());
    assert_eq!(capacity.stored_room().await.unwrap(), Some(3 * ROOM_UNIT));
    assert_eq!(catalog.stats().await.unwrap().bytes, 3 * ROOM_UNIT);
    // An upload that is refused keeps none of the room that it had reserved.
    assert_eq!(reserve(&second, 8).await, None);
    assert_eq!(reserve(&second, 7).await, Some(7 * ROOM_UNIT));
    for _ in 0..2 {
        capacity.release_room(&second.id);
        capacity.release_room(&first.id);
    }
    assert_eq!(capacity.stored_room().await.unwrap(), Some(3 * ROOM_UNIT));
    let third = manifest(3, &[]);
    assert_eq!(reserve(&third, 7).await, Some(7 * ROOM_UNIT));
    // A manifest may outgrow its unit, and a comparison records what was never reserved.
    first.generation = 2;
    first.parts.extend(manifest(1, &["d"]).parts);
    assert!(catalog.update(&first).await.unwrap());
    assert!(catalog.record(&second).await.unwrap());
    assert!(catalog.record(&second).await.unwrap());
    assert_eq!(capacity.stored_room().await.unwrap(), Some(6 * ROOM_UNIT));
    for _ in 0..2 {
        catalog.remove(&first.id, &[]).await.unwrap();
        catalog.remove(&third.id, &[]).await.unwrap();
    }
    assert_eq!(capacity.stored_room().await.unwrap(), Some(2 * ROOM_UNIT));
    assert_eq!(reserve(&first, 8).await, Some(8 * ROOM_UNIT));
}

async fn what_is_stored_is_not_known_before_the_comparison(catalog: &dyn Catalog) {
    let capacity = capacity(catalog);
    let upload = manifest(1, &["a"]);
    capacity.assume_room(9 * ROOM_UNIT);
    catalog.record(&upload).await.unwrap();
    assert_eq!(capacity.stored_room().await.unwrap(), None);
    let other = manifest(2, &[]).id;
    let reserve = async |units| {
        capacity
            .reserve_room(&other, ask(units, units, units, 10))
            .await
    };
    assert_eq!(reserve(2).await.unwrap(), None);
    assert_eq!(reserve(1).await.unwrap(), Some(ROOM_UNIT));
    mark_verified(catalog).await;
    assert_eq!(capacity.stored_room().await.unwrap(), Some(2 * ROOM_UNIT));
    assert_eq!(reserve(8).await.unwrap(), Some(8 * ROOM_UNIT));
}

/// The room as a simple model counts it, to be compared with the catalog.
#[derive(Default)]
struct Model {
    stored: HashMap<UploadId, u64>,
    reserved: HashMap<UploadId, u64>,
}

impl Model {
    fn stored(&self) -> u64 {
        self.stored.values().sum()
    }

    fn reserve(&mut self, id: &UploadId, ask: Ask) -> Option<u64> {
        let before = self.reserved.remove(id).unwrap_or(0);
        let others = self.reserved.values().sum();
        let granted = ask.grant(self.stored(), others, before)?;
        assert!(granted >= ask.need.min(ask.alone) && self.stored() + others + granted <= ask.max);
        self.reserved.insert(*id, granted);
        Some(granted)
    }
}

async fn as_the_model_says(catalog: &dyn Catalog, seed: u64) {
    let capacity = capacity(catalog);
    mark_verified(catalog).await;
    let mut model = Model::default();
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut random = |below: u64| {
        // xorshift64 (Marsaglia 2003)
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 20) % below
    };
    let mut uploads: Vec<Manifest> = (0..6).map(|at| manifest(at, &[])).collect();
    for step in 0..200 {
        let place = usize::try_from(random(6)).unwrap();
        let id = uploads[place].id;
        match random(8) {
            0..4 => {
                let need = 1 + random(12);
                let ask = ask(need + random(12), need, 1 + random(need), 30);
                let granted = capacity.reserve_room(&id, ask).await.unwrap();
                assert_eq!(granted, model.reserve(&id, ask), "step {step} of {seed}");
            }
            4..6 => {
                let names = &NAMES[..usize::try_from(random(4)).unwrap()];
                uploads[place].generation += 1;
                uploads[place].parts = manifest(1, names).parts;
                assert!(catalog.record(&uploads[place]).await.unwrap());
                model.reserved.remove(&id);
                model.stored.insert(id, uploads[place].room());
            }
            6 => {
                capacity.release_room(&id);
                model.reserved.remove(&id);
            }
            _ => {
                catalog.remove(&id, &[]).await.unwrap();
                model.reserved.remove(&id);
                model.stored.remove(&id);
                uploads[place] = manifest(step, &[]);
            }
        }
        let stored = capacity.stored_room().await.unwrap();
        assert_eq!(stored, Some(model.stored()), "step {step} of {seed}");
    }
    assert_eq!(catalog.stats().await.unwrap().bytes, model.stored());
}
