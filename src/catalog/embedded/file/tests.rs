use super::*;

/// A file that fails when the test says so, and then writes half of the data.
#[derive(Debug)]
struct FailingFile {
    file: FileBackend,
    fails: Arc<AtomicBool>,
}

impl FailingFile {
    fn check(&self) -> io::Result<()> {
        match self.fails.load(Ordering::Relaxed) {
            true => Err(io::Error::other("not now")),
            false => Ok(()),
        }
    }
}

impl StorageBackend for FailingFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check()?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.check()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if let Err(error) = self.check() {
            let half = data.len() / 2;
            self.file.write(offset, &data[..half])?;
            return Err(error);
        }
        self.file.write(offset, data)
    }
}

/// xorshift64 (Marsaglia 2003).
fn next(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state as usize
}

#[test]
fn what_the_disk_does_not_take_is_read_and_comes_to_it_later() {
    for seed in 1..40_u64 {
        let mut chance = seed * 0x9e37_79b9;
        let path = tempfile::NamedTempFile::new().unwrap();
        let fails = Arc::new(AtomicBool::new(false));
        let opened = File::options().read(true).write(true).open(&path).unwrap();
        let file = IndexFile::over(Box::new(FailingFile {
            file: FileBackend::new(opened).unwrap(),
            fails: Arc::clone(&fails),
        }))
        .unwrap();
        let mut model = vec![0; 3 * BLOCK];
        file.set_len(model.len() as u64).unwrap();
        for _ in 0..300 {
            match next(&mut chance) % 10 {
                0 => {
                    let len = (1 + next(&mut chance) % 20) * BLOCK / 2;
                    model.resize(len.max(BLOCK), 0);
                    file.set_len(model.len() as u64).unwrap();
                }
                1 => file.sync_data().unwrap(),
                2 => fails.store(next(&mut chance).is_multiple_of(2), Ordering::Relaxed),
                3 => file.rewrite(),
                4 => {
                    let from = next(&mut chance) % model.len();
                    let mut out = vec![7; next(&mut chance) % (model.len() - from) + 1];
                    file.read(from as u64, &mut out).unwrap();
                    assert!(out == model[from..from + out.len()], "{seed}");
                }
                _ => {
                    let from = next(&mut chance) % model.len();
                    let len = next(&mut chance) % (model.len() - from).min(2 * BLOCK) + 1;
                    let data = vec![next(&mut chance) as u8; len.min(model.len() - from)];
                    model[from..from + data.len()].copy_from_slice(&data);
                    file.write(from as u64, &data).unwrap();
                }
            }
            assert_eq!(StorageBackend::len(&file).unwrap(), model.len() as u64);
        }
        fails.store(false, Ordering::Relaxed);
        file.rewrite();
        assert!(!file.is_troubled() && file.require_written().is_ok());
        assert!(std::fs::read(&path).unwrap() == model, "{seed}");
    }
}

#[test]
fn nothing_is_lost_of_what_a_failed_sync_may_have_lost() {
    let path = tempfile::NamedTempFile::new().unwrap();
    let fails = Arc::new(AtomicBool::new(false));
    let opened = File::options().read(true).write(true).open(&path).unwrap();
    let file = IndexFile::over(Box::new(FailingFile {
        file: FileBackend::new(opened).unwrap(),
        fails: Arc::clone(&fails),
    }))
    .unwrap();
    file.set_len(4 * BLOCK as u64).unwrap();
    file.write(BLOCK as u64, &[1; BLOCK]).unwrap();
    fails.store(true, Ordering::Relaxed);
    file.sync_data().unwrap();
    assert!(file.trouble().unwrap().contains("not now"));
    // As the kernel does with what it could not write.
    std::fs::write(&path, vec![0; 4 * BLOCK]).unwrap();
    let mut out = [0; BLOCK];
    file.read(BLOCK as u64, &mut out).unwrap();
    assert_eq!(out, [1; BLOCK]);
    file.rewrite();
    assert!(file.is_troubled());
    fails.store(false, Ordering::Relaxed);
    file.rewrite();
    let stored = std::fs::read(&path).unwrap();
    assert_eq!(stored[BLOCK..2 * BLOCK], [1; BLOCK]);
}
