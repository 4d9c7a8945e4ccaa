//! The uses of limited downloads.

use std::time::Duration;

use super::samples::manifest;
use crate::catalog::{Catalog, Limit, Reservation, Reserved};
use crate::model::{Manifest, Portion};

const TTL: Duration = Duration::from_secs(60);

/// No more uses are reserved than are left.
pub async fn all(catalog: &dyn Catalog) {
    let mut upload = Manifest {
        max_downloads: Some(2),
        ..manifest(1, &["a", "b"])
    };
    catalog.record(&upload).await.unwrap();
    let reserve = async |upload: &Manifest, portion: &Portion| {
        let limit = Limit::of(upload, portion.clone()).unwrap();
        catalog.reserve(&limit, TTL).await.unwrap()
    };
    let taken = async |upload: &Manifest, portion: &Portion| match reserve(upload, portion).await {
        Reserved::Use(reservation) => reservation,
        other => panic!("{portion:?} of {upload:?}: {other:?}"),
    };
    let id = upload.id;
    let release = async |reservation: Reservation| {
        let released = catalog.release(&id, &reservation).await;
        released.unwrap();
    };
    let [form, one, other] = [Portion::Form, Portion::File(0), Portion::File(1)];
    let (first, second) = (taken(&upload, &form).await, taken(&upload, &form).await);
    for portion in [&form, &one, &other] {
        assert_eq!(reserve(&upload, portion).await, Reserved::Busy);
    }
    release(first.clone()).await;
    release(first).await;
    // A form takes one of each file, or none: a use that is left of the one file does not help it.
    let single = taken(&upload, &one).await;
    assert_eq!(reserve(&upload, &form).await, Reserved::Busy);
    assert_eq!(reserve(&upload, &one).await, Reserved::Busy);
    let beside = taken(&upload, &other).await;
    release(beside).await;
    // The form and one file are downloaded: of the one all are spent, of the other one is left.
    let mut spend = async |reservation: Reservation| {
        assert!(upload.count_download(&reservation.portion));
        upload.generation += 1;
        assert!(catalog.update(&upload).await.unwrap());
        catalog.commit(&reservation, &upload).await.unwrap();
        upload.clone()
    };
    let before = spend(second).await;
    let now = spend(single).await;
    // A manifest that was read before says nothing of the use spent since.
    assert_eq!(reserve(&before, &other).await, Reserved::Stale);
    assert_eq!(reserve(&now, &one).await, Reserved::Spent);
    assert_eq!(reserve(&now, &form).await, Reserved::Spent);
    let last = taken(&now, &other).await;
    assert_eq!(reserve(&now, &other).await, Reserved::Busy);
    let now = spend(last).await;
    for portion in [&form, &one, &other] {
        assert_eq!(reserve(&now, portion).await, Reserved::Spent);
    }
    unequal(catalog).await;
    several(catalog).await;
}

/// Some files of a form are taken together: one use of each, or none.
async fn several(catalog: &dyn Catalog) {
    let upload = Manifest {
        max_downloads: Some(2),
        ..manifest(1, &["a", "b", "c"])
    };
    catalog.record(&upload).await.unwrap();
    let reserve = async |portion: &Portion| {
        let limit = Limit::of(&upload, portion.clone()).unwrap();
        catalog.reserve(&limit, TTL).await.unwrap()
    };
    let taken = async |portion: &Portion| match reserve(portion).await {
        Reserved::Use(reservation) => reservation,
        other => panic!("{portion:?}: {other:?}"),
    };
    let [outer, last] = [[0, 2], [1, 2]].map(|places| Portion::Files(places.into()));
    let [form, middle] = [Portion::Form, Portion::File(1)];
    let (first, second) = (taken(&outer).await, taken(&last).await);
    // Of the last file all are reserved, and of the others one is left.
    for portion in [&outer, &last, &form, &Portion::File(2)] {
        assert_eq!(reserve(portion).await, Reserved::Busy, "{portion:?}");
    }
    let single = taken(&middle).await;
    assert_eq!(reserve(&middle).await, Reserved::Busy);
    let id = upload.id;
    catalog.release(&id, &second).await.unwrap();
    catalog.release(&id, &single).await.unwrap();
    assert!(matches!(reserve(&form).await, Reserved::Use(_)));
    // Of the middle file one is left still.
    assert_eq!(reserve(&last).await, Reserved::Busy);
    taken(&middle).await;
    catalog.release(&id, &first).await.unwrap();
    // Where fewer are used of one of them, that one has more left.
    let mut counted = upload.clone();
    assert!(counted.count_download(&Portion::File(2)));
    counted.generation += 1;
    let limit = Limit::of(&counted, outer).unwrap();
    assert_eq!((limit.used, &*limit.fewer), (1, &[(0, 0)][..]));
}

/// The files of a form have different numbers left, and others are under way.
async fn unequal(catalog: &dyn Catalog) {
    let mut upload = Manifest {
        max_downloads: Some(3),
        ..manifest(1, &["a", "b"])
    };
    assert!(upload.count_download(&Portion::File(1)));
    catalog.record(&upload).await.unwrap();
    let reserve = async |portion: &Portion| {
        let limit = Limit::of(&upload, portion.clone()).unwrap();
        catalog.reserve(&limit, TTL).await.unwrap()
    };
    // Three are left of the first file, two of the second.
    let [form, first] = [Portion::Form, Portion::File(0)];
    let mut under_way = Vec::new();
    for portion in [&first, &form, &form] {
        match reserve(portion).await {
            Reserved::Use(reservation) => under_way.push(reservation),
            other => panic!("{portion:?}: {other:?}"),
        }
    }
    for portion in [&form, &first, &Portion::File(1)] {
        assert_eq!(reserve(portion).await, Reserved::Busy);
    }
    catalog.release(&upload.id, &under_way[1]).await.unwrap();
    let again = reserve(&first).await;
    assert!(matches!(again, Reserved::Use(_)), "{again:?}");
    assert_eq!(reserve(&form).await, Reserved::Busy);
    assert!(matches!(reserve(&Portion::File(1)).await, Reserved::Use(_)));
}
