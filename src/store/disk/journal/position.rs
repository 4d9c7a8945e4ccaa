//! The position: the number of the first record that is still needed. It stands in one of two
//! places of a file in turn, so that a write that a power cut tears leaves the one before.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::block::{read_at, seal, unseal};
use super::home::{self, Home};
use super::record::BLOCK;

const MAGIC: &[u8; 8] = b"wharfpos";
const PLACES: u64 = 2;

/// The position of a journal, in its file.
#[derive(Debug)]
pub struct Position {
    file: File,
    /// Where it belongs.
    pub home: Home,
    /// How often it was written.
    number: u64,
    /// The number of the first record that is still needed.
    pub next: u64,
}

/// The content of the file of a position.
#[derive(Debug)]
pub enum Found {
    /// The position.
    Here(Position),
    /// That of a journal which was made in another folder, or for another store.
    Foreign(Position),
    /// Nothing that can be read.
    Nothing,
}

impl Position {
    /// Reads the position of the journal of `home`.
    ///
    /// # Errors
    /// The file cannot be read, or a newer version of wharf wrote it.
    pub fn read(file: File, home: Home) -> io::Result<Found> {
        let mut best: Option<(u64, u64, Home)> = None;
        for place in 0..PLACES {
            let block = read_at(&file, place * BLOCK as u64, BLOCK)?;
            let Some(payload) = unseal(MAGIC, &block)? else {
                continue;
            };
            let number = |at: usize| {
                let bytes = payload.get(at..at + 8).and_then(|it| it.try_into().ok());
                bytes.map_or(0, u64::from_le_bytes)
            };
            let found = (number(home::LEN), number(home::LEN + 8));
            if best.as_ref().is_none_or(|best| best.0 < found.0) {
                best = Home::decode(payload).map(|home| (found.0, found.1, home));
            }
        }
        let Some((number, next, found)) = best else {
            return Ok(Found::Nothing);
        };
        let position = Position {
            file,
            home: found,
            number,
            next,
        };
        Ok(match found == home {
            true => Found::Here(position),
            false => Found::Foreign(position),
        })
    }

    /// The position of a new journal, in a new file; it is on stable storage then, but for the
    /// file's name.
    pub fn create(file: File, home: Home, next: u64) -> io::Result<Self> {
        let mut position = Position {
            file,
            home,
            number: 0,
            next,
        };
        for _ in 0..PLACES {
            position.advance(next)?;
        }
        Ok(position)
    }

    /// Moves on to `next`. It is on stable storage then. Blocks.
    ///
    /// # Errors
    /// It may be there or not.
    pub fn advance(&mut self, next: u64) -> io::Result<()> {
        self.number += 1;
        let mut payload = self.home.encode().to_vec();
        payload.extend_from_slice(&self.number.to_le_bytes());
        payload.extend_from_slice(&next.to_le_bytes());
        let place = self.number % PLACES;
        let block = seal(MAGIC, &payload);
        self.file.write_all_at(&block, place * BLOCK as u64)?;
        rustix::fs::fdatasync(&self.file)?;
        self.next = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(dir: &tempfile::TempDir) -> Home {
        let folder = File::open(dir.path()).unwrap();
        Home::of(folder, [1; 16]).unwrap().unwrap()
    }

    fn file(dir: &tempfile::TempDir) -> File {
        let mut options = File::options();
        let options = options.read(true).write(true).create(true).truncate(false);
        options.open(dir.path().join("position")).unwrap()
    }

    fn next(found: Found) -> u64 {
        match found {
            Found::Here(position) => position.next,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_last_position_is_read_and_a_torn_one_leaves_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let mut position = Position::create(file(&dir), home(&dir), 7).unwrap();
        for at in [9, 11, 30] {
            position.advance(at).unwrap();
        }
        let read = || Position::read(file(&dir), home(&dir)).unwrap();
        assert_eq!(next(read()), 30);
        let path = dir.path().join("position");
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(position.number, 5);
        for number in [4, 5] {
            let mut bytes = whole.clone();
            bytes[(number % 2) * BLOCK + 60] ^= 0x10;
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(next(read()), if number == 5 { 11 } else { 30 });
        }
        std::fs::write(&path, vec![0; 2 * BLOCK]).unwrap();
        assert!(matches!(read(), Found::Nothing));
    }

    #[test]
    fn a_copy_is_foreign_and_a_newer_version_is_refused() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        Position::create(file(&dir), home(&dir), 7).unwrap();
        let copy = |to: &tempfile::TempDir| {
            std::fs::copy(dir.path().join("position"), to.path().join("position")).unwrap()
        };
        copy(&other);
        let found = Position::read(file(&other), home(&other)).unwrap();
        assert!(matches!(found, Found::Foreign(position) if position.next == 7));
        let mut block = seal(MAGIC, b"x");
        block[8] = 2;
        let end = block.len() - 4;
        let crc = crc_fast::crc32_iscsi(&block[..end]).to_le_bytes();
        block[end..].copy_from_slice(&crc);
        std::fs::write(dir.path().join("position"), block).unwrap();
        assert!(Position::read(file(&dir), home(&dir)).is_err());
    }
}
