//! Texts that are written in pieces of about the same size, however long they are as a whole.

use std::borrow::Cow;

use serde::Serialize;

use crate::form::display_name;

/// A piece is full with so many bytes; it has at most one stroke more.
const FULL: usize = 16 << 10;
/// The bytes of a text that are written at once: six times as many, where all are escaped.
const CHUNK: usize = 1 << 10;

/// How much of an element is written: so many strokes, and these bytes of the text that is next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    strokes: usize,
    bytes: usize,
}

/// One piece. An element is written by the same strokes each time: those that are written already
/// are passed over, and those behind the end of the piece are left to the next.
pub struct Piece<'a> {
    out: &'a mut Vec<u8>,
    progress: &'a mut Progress,
    /// How many strokes of the element were come by.
    passed: usize,
}

impl<'a> Piece<'a> {
    /// Goes on with an element at the end of `out`.
    pub fn of(out: &'a mut Vec<u8>, progress: &'a mut Progress) -> Self {
        Piece {
            out,
            progress,
            passed: 0,
        }
    }

    /// Whether the next stroke is to be written.
    fn is_next(&mut self) -> bool {
        let stroke = self.passed;
        self.passed += 1;
        stroke == self.progress.strokes && !is_full(self.out)
    }

    /// A stroke that is short.
    pub fn put(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if self.is_next() {
            write(self.out);
            self.progress.strokes += 1;
        }
    }

    /// A text as a string of JSON, however long.
    pub fn text(&mut self, raw: &[u8], spelling: Spelling) {
        if !self.is_next() {
            return;
        }
        let from = &mut self.progress.bytes;
        loop {
            let to = end_of_chunk(raw, *from);
            let begun = self.out.len();
            write(self.out, &*spelling.show(&raw[*from..to]));
            // The quotation marks stand around the whole of it.
            if *from > 0 {
                self.out.remove(begun);
            }
            if to == raw.len() {
                *from = 0;
                self.progress.strokes += 1;
                return;
            }
            self.out.pop();
            *from = to;
            if is_full(self.out) {
                return;
            }
        }
    }

    /// Whether all strokes that were come by are written.
    pub fn is_written(&self) -> bool {
        self.passed == self.progress.strokes
    }
}

/// Whether nothing more is to be written to a piece.
pub fn is_full(piece: &[u8]) -> bool {
    piece.len() >= FULL
}

/// Writes a value as JSON.
pub fn write(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    serde_json::to_writer(out, value).expect("a Vec takes what is written");
}

/// How a text of a form is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    /// A name, in which browsers have escaped some characters.
    Name,
    /// A value, as it came.
    Value,
}

impl Spelling {
    /// The text as people read it, with U+FFFD for what is not UTF-8.
    pub fn show(self, raw: &[u8]) -> Cow<'_, str> {
        let shown = match self {
            Spelling::Name => display_name(raw),
            Spelling::Value => Cow::Borrowed(raw),
        };
        match shown {
            Cow::Borrowed(shown) => String::from_utf8_lossy(shown),
            Cow::Owned(shown) => match String::from_utf8_lossy(&shown) {
                Cow::Owned(replaced) => replaced.into(),
                Cow::Borrowed(text) => text.to_owned().into(),
            },
        }
    }
}

/// Where the chunk of `raw` ends that begins at `from`: within no character, and within no escape of
/// a name.
fn end_of_chunk(raw: &[u8], from: usize) -> usize {
    let most = from + CHUNK;
    if most >= raw.len() {
        return raw.len();
    }
    // A character of UTF-8 has at most three bytes behind its first. Where four of that kind are in
    // a row, each but the first three is no part of one.
    let continues = |at: &usize| raw[*at] & 0b1100_0000 == 0b1000_0000;
    let first = (most - 3..=most).rev().find(|at| !continues(at));
    let end = first.unwrap_or(most);
    match raw[end - 2..end].iter().position(|&byte| byte == b'%') {
        Some(escape) => end - 2 + escape,
        None => end,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The pieces of a record of these texts.
    fn pieces(texts: &[(Vec<u8>, Spelling)]) -> Vec<Vec<u8>> {
        let mut pieces = Vec::new();
        let mut progress = Progress::default();
        loop {
            let mut out = Vec::new();
            let mut piece = Piece::of(&mut out, &mut progress);
            piece.put(|out| out.push(b'['));
            for (at, (text, spelling)) in texts.iter().enumerate() {
                piece.put(|out| out.extend((at > 0).then_some(b',')));
                piece.text(text, *spelling);
            }
            piece.put(|out| out.push(b']'));
            let written = piece.is_written();
            pieces.push(out);
            if written {
                return pieces;
            }
        }
    }

    fn text() -> impl Strategy<Value = (Vec<u8>, Spelling)> {
        let unit = prop_oneof![
            "\\PC{1,3}".prop_map(String::into_bytes),
            prop::collection::vec(any::<u8>(), 1..4),
            prop::sample::select(&["%22", "%", "%2", "%0D%0A", "\u{1}", "\"", "\u{1f600}"][..])
                .prop_map(|text| text.as_bytes().to_vec()),
            prop::collection::vec(0x80..0xc0_u8, 1..9),
        ];
        let units = prop::collection::vec(unit, 1..9);
        let spelling = prop::sample::select(&[Spelling::Name, Spelling::Value][..]);
        // So often that chunks end at every place in it.
        let often = prop_oneof![3 => 0..3_usize, 1 => 0..6000_usize];
        (units, often, spelling)
            .prop_map(|(units, often, spelling)| (units.concat().repeat(often), spelling))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_pieces_of_texts_are_the_texts(texts in prop::collection::vec(text(), 0..5)) {
            let pieces = pieces(&texts);
            let shown: Vec<_> = texts.iter().map(|(text, spelling)| spelling.show(text)).collect();
            prop_assert_eq!(pieces.concat(), serde_json::to_vec(&shown).unwrap());
            let (last, full) = pieces.split_last().unwrap();
            prop_assert!(full.iter().all(|piece| is_full(piece)));
            for piece in full.iter().chain([last]) {
                prop_assert!(piece.len() < FULL + 6 * CHUNK + 3, "{}", piece.len());
            }
        }
    }
}
