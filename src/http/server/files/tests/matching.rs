//! Stand-ins where they must not be.

use std::io::IoSlice;

use super::super::block::{is_stand_in, stand_in};
use super::super::sender::Next;
use super::*;

#[test]
fn a_stand_in_goes_with_the_span_it_was_offered_for() {
    let file = file();
    let queue = || FileQueue::new(Arc::new(Ways::new(Sendfile::Auto)));
    let span = |len| Box::new(TestSpan::of(&file, 0..len));
    // As it is meant.
    let good = queue();
    let offered = good.offer(span(100));
    let mut pieces = Pieces::new(Some(good.clone()));
    assert!(pieces.next(offered).is_ok() && pieces.next("text".into()).is_ok());
    assert!(!good.broken().is_set());
    // Changes that a layer between body and hyper could make.
    type Change = fn(Bytes) -> Bytes;
    let cases: [(&str, Change); 3] = [
        ("a copy", |bytes| bytes.to_vec().into()),
        ("a part", |bytes| bytes.slice(..50)),
        ("other bytes first", |_| "text".into()),
    ];
    for (what, change) in cases {
        let queue = queue();
        let offered = queue.offer(span(100));
        let error = Pieces::new(Some(queue.clone())).next(change(offered));
        assert!(error.is_err() && queue.broken().is_set(), "{what}");
        let next = FileSender::new(queue).next(&[IoSlice::new(b"text")]);
        assert!(next.is_err(), "nothing more is written after {what}");
    }
    assert!(Pieces::new(Some(queue())).next(stand_in(10)).is_err());
    assert!(Pieces::new(None).next(stand_in(10)).is_err());
    assert!(Pieces::new(None).next("text".into()).is_ok());
}

#[test]
fn what_goes_out_next() {
    let file = file();
    let due = |len: u64| {
        let queue = FileQueue::new(Arc::new(Ways::new(Sendfile::Auto)));
        let offered = queue.offer(Box::new(TestSpan::of(&file, 0..len)));
        let piece = Pieces::new(Some(queue.clone())).next(offered).unwrap();
        (FileSender::new(queue), piece)
    };
    let place = stand_in(1000);
    let (head, copy) = (b"HTTP/1.1 200 OK\r\n\r\n", place[3..40].to_vec());
    let next = |len: u64, data: &[&[u8]]| {
        let data: Vec<IoSlice<'_>> = data.iter().map(|slice| IoSlice::new(slice)).collect();
        let (sender, _piece) = due(len);
        sender.next(&data).ok()
    };
    assert_eq!(next(1000, &[head, &place]), Some(Next::Buffers(1)));
    assert_eq!(next(1000, &[&place, head]), Some(Next::File));
    assert_eq!(next(1000, &[b"", &place]), Some(Next::File));
    assert_eq!(next(1000, &[head, b"more"]), Some(Next::Buffers(2)));
    assert_eq!(next(999, &[&place]), None, "of another length");
    assert_eq!(next(1000, &[head, &copy, &place]), None, "a copy before it");
    assert_eq!(next(1000, &[&copy]), None, "a copy in its place");
    let none = FileSender::new(FileQueue::new(Arc::new(Ways::new(Sendfile::Auto))));
    assert_eq!(
        none.next(&[IoSlice::new(head)]).ok(),
        Some(Next::Buffers(1))
    );
    assert!(
        none.next(&[IoSlice::new(&place)]).is_err(),
        "nothing is due"
    );
    assert!(is_stand_in(&place) && none.next(&[IoSlice::new(head)]).is_err());
}
