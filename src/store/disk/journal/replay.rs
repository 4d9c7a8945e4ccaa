//! Reads the records of a journal, one behind the other.
//!
//! Where the next one should stand and does not, the journal ends: nothing is searched for. So no
//! bytes that a client has sent are ever read as a record, wherever in a segment they stand.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use rustix::fs::{Advice, Mode, OFlags};
use rustix::io::Errno;

use super::block::{read_at, unseal};
use super::home::{self, Home};
use super::record::{BLOCK, Change, HEAD, Head, Salt};
use super::segment::{self, FIRST, MAGIC, MOST};

/// A use of a segment, to be read.
#[derive(Debug)]
struct Use {
    file: File,
    len: u64,
    salt: Salt,
    /// The number of its first record.
    first: u64,
}

/// Where a record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    segment: usize,
    offset: u64,
}

/// The records of a journal from a position on.
#[derive(Debug)]
pub struct Records {
    uses: Vec<Use>,
    /// Where the next one is looked for; `None` before the first.
    at: Option<Place>,
    /// The number of the next one.
    pub next: u64,
}

impl Records {
    /// Those of the journal in `folder`, which is that of `home`, from number `next` on.
    ///
    /// # Errors
    /// A segment cannot be read, or a newer version of wharf wrote it.
    pub fn open(folder: impl AsFd, home: &Home, next: u64) -> io::Result<Self> {
        let mut uses = Vec::new();
        for number in 0..MOST {
            let Some(file) = open_segment(&folder, number)? else {
                continue;
            };
            // From the disk, and not from a cache that a failed sync has left.
            let _ = rustix::fs::fadvise(&file, 0, None, Advice::DontNeed);
            uses.extend(Use::of(file, home)?);
        }
        Ok(Records {
            uses,
            at: None,
            next,
        })
    }

    /// The next record; `None` behind the last.
    ///
    /// # Errors
    /// The disk cannot be read.
    pub fn read_next(&mut self) -> io::Result<Option<(Place, Change)>> {
        if let Some(at) = self.at
            && let Some(found) = self.read_at(at, Some(self.next))?
        {
            return Ok(Some(self.passed(at, found)));
        }
        // The next segment goes on with the number that is next.
        for (segment, its) in self.uses.iter().enumerate() {
            let at = Place {
                segment,
                offset: FIRST,
            };
            if its.first == self.next
                && let Some(found) = self.read_at(at, Some(self.next))?
            {
                return Ok(Some(self.passed(at, found)));
            }
        }
        Ok(None)
    }

    fn passed(&mut self, at: Place, (span, change): (u32, Change)) -> (Place, Change) {
        self.next += 1;
        self.at = Some(Place {
            offset: at.offset + u64::from(span),
            ..at
        });
        (at, change)
    }

    /// A record that was read before, once more.
    ///
    /// # Errors
    /// It is not there any more.
    pub fn read_again(&self, at: Place) -> io::Result<Change> {
        let found = self.read_at(at, None)?;
        found
            .map(|(_, change)| change)
            .ok_or_else(|| io::Error::other("a record of the journal cannot be read a second time"))
    }

    fn read_at(&self, at: Place, number: Option<u64>) -> io::Result<Option<(u32, Change)>> {
        let its = &self.uses[at.segment];
        let head = read_at(&its.file, at.offset, HEAD)?;
        let Ok(head) = head.as_slice().try_into() else {
            return Ok(None);
        };
        let Some(head) = Head::decode(head, &its.salt) else {
            return Ok(None);
        };
        let end = at.offset + u64::from(head.span);
        if number.is_some_and(|number| head.sequence != number) || end > its.len {
            return Ok(None);
        }
        let rest = read_at(
            &its.file,
            at.offset + HEAD as u64,
            head.span as usize - HEAD,
        )?;
        if rest.len() + HEAD != head.span as usize {
            return Ok(None);
        }
        Ok(head.change(rest).map(|change| (head.span, change)))
    }
}

/// Whether any segment in the folder of a journal was ever used.
///
/// # Errors
/// One cannot be read, or a newer version of wharf wrote it.
pub fn is_used(folder: impl AsFd) -> io::Result<bool> {
    for number in 0..MOST {
        if let Some(file) = open_segment(&folder, number)?
            && unseal(MAGIC, &read_at(&file, 0, BLOCK)?)?.is_some()
        {
            return Ok(true);
        }
    }
    Ok(false)
}

fn open_segment(folder: impl AsFd, number: u64) -> io::Result<Option<File>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(folder, segment::name(number), flags, Mode::empty()) {
        Ok(file) => Ok(Some(file.into())),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

impl Use {
    /// The last use of a segment; `None` where it has none, or is of another journal.
    fn of(file: File, home: &Home) -> io::Result<Option<Self>> {
        let block = read_at(&file, 0, BLOCK)?;
        let Some(payload) = unseal(MAGIC, &block)? else {
            return Ok(None);
        };
        let (its_home, rest) = payload.split_at(home::LEN);
        if its_home != home.encode() {
            return Ok(None);
        }
        let (Some(salt), Some(first)) = (rest.first_chunk(), rest[16..].first_chunk()) else {
            return Ok(None);
        };
        Ok(Some(Use {
            len: file.metadata()?.len(),
            salt: *salt,
            first: u64::from_le_bytes(*first),
            file,
        }))
    }
}
