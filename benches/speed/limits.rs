//! The limits: the best that a server could do, as programs of a few lines that know no HTTP. Each
//! has a thread for every connection, which does nothing but block.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result};
use rustix::net::SendFlags;

/// The bytes that they receive, read, write and send at once.
const BLOCK: usize = 256 * 1024;

/// The name of a file that a `source` knows by its number.
pub fn name(number: u64) -> String {
    format!("file-{number}.bin")
}

/// `sink ADDRESS DIR fsync|relaxed`: writes what comes into files.
pub fn sink(args: &[String]) -> Result<()> {
    let [address, dir, sync] = args else {
        anyhow::bail!("sink ADDRESS DIR fsync|relaxed");
    };
    let dir: Arc<Path> = PathBuf::from(dir).into();
    let numbers = Arc::new(AtomicU64::new(0));
    let sync = sync == "fsync";
    serve(address, move |stream| {
        let file = || {
            let number = numbers.fetch_add(1, Ordering::Relaxed);
            File::create_new(dir.join(name(number)))
        };
        receive(stream, file, sync)
    })
}

/// `source ADDRESS DIR sendfile|read`: sends files.
pub fn source(args: &[String]) -> Result<()> {
    let [address, dir, how] = args else {
        anyhow::bail!("source ADDRESS DIR sendfile|read");
    };
    let dir: Arc<Path> = PathBuf::from(dir).into();
    let sendfile = how == "sendfile";
    serve(address, move |stream| give(stream, &dir, sendfile))
}

fn serve<F>(address: &str, each: F) -> Result<()>
where
    F: Fn(TcpStream) -> Result<()> + Clone + Send + 'static,
{
    let listener = TcpListener::bind(address)?;
    loop {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let each = each.clone();
        std::thread::Builder::new()
            .stack_size(64 * 1024)
            .spawn(move || each(stream).inspect_err(|error| eprintln!("{error:#}")))?;
    }
}

/// Messages of a length and so many bytes, each into a file; a byte goes back for each.
fn receive(
    mut stream: TcpStream,
    file: impl Fn() -> std::io::Result<File>,
    sync: bool,
) -> Result<()> {
    let mut buffer = vec![0; BLOCK];
    let (mut from, mut to) = (0, 0);
    loop {
        while to - from < 8 {
            buffer.copy_within(from..to, 0);
            (from, to) = (0, to - from);
            match stream.read(&mut buffer[to..])? {
                0 => return Ok(()),
                received => to += received,
            }
        }
        let length = buffer[from..from + 8].try_into().expect("eight bytes");
        let mut left = u64::from_le_bytes(length);
        from += 8;
        let mut file = file()?;
        while left > 0 {
            if from == to {
                (from, to) = (0, stream.read(&mut buffer)?);
                anyhow::ensure!(to > 0, "the client went away");
            }
            let here = usize::try_from(left).unwrap_or(BLOCK).min(to - from);
            file.write_all(&buffer[from..from + here])?;
            from += here;
            left -= here as u64;
        }
        if sync {
            file.sync_all()?;
        }
        drop(file);
        stream.write_all(&[1])?;
    }
}

/// The files of the numbers that come, each behind its length.
fn give(mut stream: TcpStream, dir: &Path, sendfile: bool) -> Result<()> {
    let mut buffer = vec![0; BLOCK];
    let mut number = [0; 8];
    loop {
        if stream.read_exact(&mut number).is_err() {
            return Ok(());
        }
        let name = name(u64::from_le_bytes(number));
        let mut file = File::open(dir.join(&name)).with_context(|| name)?;
        let size = file.metadata()?.len();
        if sendfile {
            rustix::net::send(&stream, &size.to_le_bytes(), SendFlags::MORE)?;
            let mut at = 0;
            while at < size {
                let left = usize::try_from(size - at)?;
                let sent = rustix::fs::sendfile(&stream, &file, Some(&mut at), left)?;
                anyhow::ensure!(sent > 0, "the file became shorter");
            }
        } else {
            buffer[..8].copy_from_slice(&size.to_le_bytes());
            let mut filled = 8 + file.read(&mut buffer[8..])?;
            while filled > 0 {
                stream.write_all(&buffer[..filled])?;
                filled = file.read(&mut buffer)?;
            }
        }
    }
}
