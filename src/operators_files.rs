//! Files that settings name: certificates, secrets, the settings themselves.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::{OFlags, fcntl_setfl};

/// Opens a file to be read; a named pipe that no process writes to is not waited for (fifo(7)).
///
/// # Errors
/// It cannot be opened.
pub fn open(path: impl AsRef<Path>) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    let file = options.read(true).open(path)?;
    // A pipe that is being written is read to its end, as the shell has it with `<(...)`.
    fcntl_setfl(&file, OFlags::empty())?;
    Ok(file)
}

/// Reads a file.
///
/// # Errors
/// It cannot be opened or read, or is a pipe that no process writes to.
pub fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let mut file = open(path)?;
    file.read_to_end(&mut content)?;
    if content.is_empty() && file.metadata()?.file_type().is_fifo() {
        return Err(io::Error::other("it is a pipe that no process writes to"));
    }
    Ok(content)
}

/// Reads a text.
///
/// # Errors
/// As those of [`read`], or it is not UTF-8.
pub fn read_text(path: impl AsRef<Path>) -> io::Result<String> {
    String::from_utf8(read(path)?)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_pipe_without_a_writer_is_refused_and_one_with_a_writer_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        assert!(
            Command::new("mkfifo")
                .arg(&path)
                .status()
                .unwrap()
                .success()
        );
        let refused = read(&path).unwrap_err().to_string();
        assert_eq!(refused, "it is a pipe that no process writes to");
        // It holds both ends, so that opening it to write does not wait either.
        let both = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .unwrap();
        let reader = open(&path).unwrap();
        let mut writer = OpenOptions::new().write(true).open(&path).unwrap();
        drop(both);
        writer.write_all(b"secret").unwrap();
        drop(writer);
        assert_eq!(io::read_to_string(reader).unwrap(), "secret");
        std::fs::write(dir.path().join("file"), "text").unwrap();
        assert_eq!(read_text(dir.path().join("file")).unwrap(), "text");
        assert!(read(dir.path().join("none")).is_err());
    }
}
