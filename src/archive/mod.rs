//! Archives of stored files, sans I/O: everything of a ZIP or tar file but the contents, and how
//! long that is.
//!
//! Nothing is compressed, so that each byte of an archive is known from the names, sizes and times
//! alone (in a ZIP file from the CRCs too): an archive has a length before it is read, and any
//! range of it can be written by itself.
//!
//! An archive is, in this order: for each file its [head](Format::head), its content, its
//! [padding](Format::padding); then for each file its [record](Format::record) in the directory at
//! the end; then the [end](Format::end).

mod tar;
mod zip;

use crate::model::Timestamp;

/// The kinds of archives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// ZIP (PKWARE APPNOTE 6.3.10), with the ZIP64 fields (section 4.3.14, 4.5.3) only where a
    /// number needs them.
    Zip,
    /// POSIX.1-2001 interchange (`pax`) over `ustar`, with extended headers only where a name or a
    /// size needs one.
    Tar,
}

/// A file in an archive.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Its name, with `/` between the folders; relative, and without `.` and `..`.
    pub path: &'a str,
    /// Its size in bytes.
    pub size: u64,
    /// The CRC-32 (ISO 3309) of its content, which the heads and records of a ZIP file have. No
    /// length depends on it.
    pub crc32: u32,
    /// When it was stored.
    pub modified: Timestamp,
}

/// The sums over the files that an archive has so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// How many files there are.
    pub entries: u64,
    /// The bytes of heads, contents and padding: where the directory begins.
    pub contents: u64,
    /// The bytes of the records in the directory.
    pub directory: u64,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 2] = [Format::Zip, Format::Tar];

    /// The extension of file names, without a dot.
    pub fn extension(self) -> &'static str {
        match self {
            Format::Zip => "zip",
            Format::Tar => "tar",
        }
    }

    /// The media type (`application/zip` is registered; `application/x-tar` is what servers use).
    pub fn media_type(self) -> &'static str {
        match self {
            Format::Zip => "application/zip",
            Format::Tar => "application/x-tar",
        }
    }

    /// The bytes before the content of a file.
    pub fn head(self, entry: &Entry<'_>) -> Vec<u8> {
        match self {
            Format::Zip => zip::local_header(entry),
            Format::Tar => tar::header(entry),
        }
    }

    /// The bytes of [`head`](Self::head).
    pub fn head_len(self, entry: &Entry<'_>) -> u64 {
        match self {
            Format::Zip => zip::local_header_len(entry),
            Format::Tar => tar::header_len(entry),
        }
    }

    /// How many zero bytes follow a content of `size` bytes.
    pub fn padding(self, size: u64) -> u64 {
        match self {
            Format::Zip => 0,
            Format::Tar => tar::padding(size),
        }
    }

    /// The bytes of a file with its head and its padding.
    pub fn entry_len(self, entry: &Entry<'_>) -> u64 {
        // No store holds 2^64 bytes; if numbers say so, the length is wrong but not small.
        self.head_len(entry)
            .saturating_add(entry.size)
            .saturating_add(self.padding(entry.size))
    }

    /// The record of a file whose head begins at `offset`; empty where the format has no directory.
    pub fn record(self, entry: &Entry<'_>, offset: u64) -> Vec<u8> {
        match self {
            Format::Zip => zip::central_header(entry, offset),
            Format::Tar => Vec::new(),
        }
    }

    /// The bytes of [`record`](Self::record).
    pub fn record_len(self, entry: &Entry<'_>, offset: u64) -> u64 {
        match self {
            Format::Zip => zip::central_header_len(entry, offset),
            Format::Tar => 0,
        }
    }

    /// The bytes at the end.
    pub fn end(self, totals: &Totals) -> Vec<u8> {
        match self {
            Format::Zip => zip::end(totals),
            Format::Tar => vec![0; tar::END],
        }
    }

    /// The bytes of [`end`](Self::end).
    pub fn end_len(self, totals: &Totals) -> u64 {
        match self {
            Format::Zip => zip::end_len(totals),
            Format::Tar => tar::END as u64,
        }
    }
}

impl Totals {
    /// Adds a file, whose head begins where the last one ended.
    pub fn add(&mut self, format: Format, entry: &Entry<'_>) {
        self.directory = self
            .directory
            .saturating_add(format.record_len(entry, self.contents));
        self.contents = self.contents.saturating_add(format.entry_len(entry));
        self.entries += 1;
    }

    /// The bytes of the whole archive.
    pub fn len(&self, format: Format) -> u64 {
        self.contents
            .saturating_add(self.directory)
            .saturating_add(format.end_len(self))
    }
}
