//! A disk that remembers: one file of a FUSE file system (the kernel's own protocol,
//! include/uapi/linux/fuse.h), whose every write and flush is kept in one order. A loop device on
//! it carries a real file system, and the disk as a power cut may have left it can be made again.

use std::ffi::CString;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use rustix::mount::{MountFlags, UnmountFlags};

/// The requests to the disk.
pub enum Record {
    /// These bytes at this offset.
    Write(u64, Vec<u8>),
    /// Everything before is on stable storage when this is answered.
    Flush,
}

/// A disk, mounted as a file until it is dropped.
pub struct RecordingDisk {
    dir: tempfile::TempDir,
    records: Arc<Mutex<Vec<Record>>>,
    server: Option<std::thread::JoinHandle<()>>,
}

impl RecordingDisk {
    /// One of `size` bytes, all zero.
    pub fn new(size: u64) -> std::io::Result<Self> {
        let device = File::options().read(true).write(true).open("/dev/fuse")?;
        let dir = tempfile::tempdir()?;
        let content = tempfile::tempfile()?;
        content.set_len(size)?;
        let options = format!(
            "fd={},rootmode=40000,user_id=0,group_id=0,allow_other",
            device.as_raw_fd()
        );
        let options = CString::new(options).unwrap();
        let none = MountFlags::empty();
        rustix::mount::mount("wharf-disk", dir.path(), "fuse", none, Some(&*options))?;
        let records = Arc::new(Mutex::default());
        let served = Served {
            device,
            content,
            size,
            records: Arc::clone(&records),
        };
        let server = std::thread::spawn(move || served.run());
        Ok(RecordingDisk {
            dir,
            records,
            server: Some(server),
        })
    }

    /// The file that is the disk.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("disk")
    }

    /// How much it was told so far: a moment in its order.
    pub fn moment(&self) -> usize {
        self.records.lock().unwrap().len()
    }

    /// Ends it; all that it was told.
    pub fn into_records(mut self) -> Vec<Record> {
        self.unmount();
        std::mem::take(&mut *self.records.lock().unwrap())
    }

    fn unmount(&mut self) {
        let _ = rustix::mount::unmount(self.dir.path(), UnmountFlags::DETACH);
        if let Some(server) = self.server.take()
            && !std::thread::panicking()
        {
            server.join().unwrap();
        }
    }
}

impl Drop for RecordingDisk {
    fn drop(&mut self) {
        self.unmount();
    }
}

/// The task that answers the kernel.
struct Served {
    device: File,
    content: File,
    size: u64,
    records: Arc<Mutex<Vec<Record>>>,
}

const MAX_WRITE: usize = 1024 * 1024;
const ROOT: u64 = 1;
const DISK: u64 = 2;
const ENOENT: i32 = 2;
const ENOSPC: i32 = 28;
const ENOSYS: i32 = 38;

/// Numbers of the protocol, one behind the other, in the machine's own order.
#[derive(Default)]
struct Words(Vec<u8>);

impl Words {
    fn u16(mut self, value: u16) -> Self {
        self.0.extend_from_slice(&value.to_ne_bytes());
        self
    }

    fn u32(mut self, value: u32) -> Self {
        self.0.extend_from_slice(&value.to_ne_bytes());
        self
    }

    fn u64(mut self, value: u64) -> Self {
        self.0.extend_from_slice(&value.to_ne_bytes());
        self
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap())
}

impl Served {
    fn run(mut self) {
        let mut request = vec![0; MAX_WRITE + 4096];
        // It ends with the mount: ENODEV.
        while let Ok(read @ 40..) = self.device.read(&mut request) {
            let (head, body) = request[..read].split_at(40);
            let (opcode, unique, node) = (u32_at(head, 4), u64_at(head, 8), u64_at(head, 16));
            // FORGET, INTERRUPT and BATCH_FORGET have no answer.
            if matches!(opcode, 2 | 36 | 42) {
                continue;
            }
            let (error, answer) = match self.answer(opcode, node, body) {
                Ok(answer) => (0, answer.0),
                Err(error) => (-error, Vec::new()),
            };
            let head = Words::default()
                .u32(16 + answer.len() as u32)
                .u32(error.cast_unsigned())
                .u64(unique);
            let _ = self.device.write(&head.bytes(&answer).0);
        }
    }

    fn answer(&self, opcode: u32, node: u64, body: &[u8]) -> Result<Words, i32> {
        let words = Words::default();
        match opcode {
            1 if node == ROOT && body == b"disk\0" => {
                let entry = words.u64(DISK).u64(0).u64(3600).u64(3600).u32(0).u32(0);
                Ok(self.attributes(entry, DISK))
            }
            1 => Err(ENOENT),
            // GETATTR and SETATTR.
            3 | 4 => Ok(self.attributes(words.u64(3600).u32(0).u32(0), node)),
            // OPEN, which keeps the pages of the one before, and OPENDIR.
            14 | 27 => Ok(words.u64(0).u32(2).u32(0)),
            15 => {
                let (offset, len) = (u64_at(body, 8), u64::from(u32_at(body, 16)));
                let mut block = vec![0; len.min(self.size.saturating_sub(offset)) as usize];
                self.content.read_exact_at(&mut block, offset).unwrap();
                Ok(words.bytes(&block))
            }
            16 => {
                let (offset, len) = (u64_at(body, 8), u32_at(body, 16));
                let data = &body[40..40 + len as usize];
                if offset + u64::from(len) > self.size {
                    return Err(ENOSPC);
                }
                self.content.write_all_at(data, offset).unwrap();
                self.record(Record::Write(offset, data.to_vec()));
                Ok(words.u32(len).u32(0))
            }
            17 => {
                let blocks = self.size / 4096;
                let all = words.u64(blocks).u64(0).u64(0).u64(2).u64(0);
                Ok(all.u32(4096).u32(255).u32(4096).bytes(&[0; 28]))
            }
            // RELEASE, FLUSH, RELEASEDIR, READDIR and DESTROY.
            18 | 25 | 28 | 29 | 38 => Ok(words),
            20 => {
                self.record(Record::Flush);
                Ok(words)
            }
            26 => {
                // Version 7.31 with BIG_WRITES and MAX_PAGES.
                let flags = (1 << 5) | (1 << 22);
                let version = words.u32(7).u32(31).u32(MAX_WRITE as u32).u32(flags);
                let limits = version
                    .u16(16)
                    .u16(12)
                    .u32(MAX_WRITE as u32)
                    .u32(1)
                    .u16(256);
                Ok(limits.u16(0).bytes(&[0; 32]))
            }
            _ => Err(ENOSYS),
        }
    }

    /// Adds the attributes of the folder or of the disk.
    fn attributes(&self, words: Words, node: u64) -> Words {
        let (size, mode, links) = match node {
            DISK => (self.size, 0o100_600, 1),
            _ => (0, 0o40_700, 2),
        };
        let sizes = words.u64(node).u64(size).u64(size / 512);
        let times = sizes.bytes(&[0; 36]);
        let owner = times.u32(mode).u32(links).u32(0).u32(0);
        owner.u32(0).u32(4096).u32(0)
    }

    fn record(&self, record: Record) {
        self.records.lock().unwrap().push(record);
    }
}

/// How much a cut has left of the bytes that were written after the last flush.
#[derive(Debug, Clone, Copy)]
pub enum Left {
    Nothing,
    All,
    /// Each write, or each block of 4 KiB, with a chance of its own.
    Some(u64),
}

/// Makes the disk again as it was at one moment after the other.
pub struct Replay {
    records: Vec<Record>,
    /// The disk up to the last flush before the cut.
    base: PathBuf,
    /// How many records are in it.
    at: usize,
    dir: tempfile::TempDir,
}

impl Replay {
    pub fn new(records: Vec<Record>, size: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().join("base");
        File::create(&base).unwrap().set_len(size).unwrap();
        Replay {
            records,
            base,
            at: 0,
            dir,
        }
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// The moments at which a flush was about to end.
    pub fn flushes(&self) -> Vec<usize> {
        let records = self.records.iter().enumerate();
        let flushes = records.filter(|(_, record)| matches!(record, Record::Flush));
        flushes.map(|(at, _)| at).collect()
    }

    /// An image of the disk as a cut at `moment` left it; moments must not go back.
    pub fn cut(&mut self, moment: usize, left: Left) -> PathBuf {
        let before = &self.records[..moment];
        let flush = before.iter().rposition(|it| matches!(it, Record::Flush));
        let settled = flush.map_or(0, |at| at + 1);
        let base = File::options().write(true).open(&self.base).unwrap();
        for record in &self.records[self.at.min(settled)..settled] {
            write(&base, record, |_| true);
        }
        self.at = self.at.max(settled);
        let image = self.dir.path().join("image");
        let copied = std::process::Command::new("cp")
            .arg("--sparse=always")
            .args([&self.base, &image])
            .status();
        assert!(copied.unwrap().success());
        let image_file = File::options().write(true).open(&image).unwrap();
        let mut chance = Chance(match left {
            Left::Some(seed) => seed | 1,
            _ => 1,
        });
        let by_block = chance.next().is_multiple_of(2);
        let part = [15, 50, 85][(chance.next() % 3) as usize];
        for record in &self.records[settled..moment] {
            let whole = chance.next() % 100 < part;
            write(&image_file, record, |_| match left {
                Left::Nothing => false,
                Left::All => true,
                Left::Some(_) if by_block => chance.next() % 100 < part,
                Left::Some(_) => whole,
            });
        }
        image
    }
}

/// Writes what of a record is `kept`, block by block.
fn write(to: &File, record: &Record, mut kept: impl FnMut(usize) -> bool) {
    let Record::Write(offset, data) = record else {
        return;
    };
    for (at, block) in data.chunks(4096).enumerate() {
        if kept(at) {
            to.write_all_at(block, offset + at as u64 * 4096).unwrap();
        }
    }
}

/// Numbers that look random and are the same every time (xorshift64, Marsaglia 2003).
pub struct Chance(pub u64);

impl Chance {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 11
    }
}
