//! The operations that a download needs of a directory that files are written into.

use std::ffi::OsStr;
use std::fmt::Debug;
use std::fs::File;
use std::io;
use std::path::Path;

/// A hold on a directory, while files are written into it: names are looked up in it, wherever
/// its path leads meanwhile, as far as the system can. Names are one component.
pub(super) trait Hold: Debug + Sized {
    /// Takes hold of a directory; `NotADirectory` where it is none.
    fn open(path: &Path) -> io::Result<Self>;
    /// Takes hold of the folder of this name in it, which is made when it is missing. A symbolic
    /// link is no folder: `NotADirectory`.
    fn folder(&self, name: &str) -> io::Result<Self>;
    /// Whether anything has this name, be it a symbolic link to nowhere.
    fn has(&self, name: &OsStr) -> bool;
    /// A new file.
    fn create(&self, name: &str) -> io::Result<File>;
    /// Gives a file another name: in place of another file, if `replace`, and else only if there is
    /// none (`AlreadyExists`).
    fn rename(&self, from: &str, to: &OsStr, replace: bool) -> io::Result<()>;
    /// Removes a file. One that stays is visible by its name: the first error is the one to report.
    fn remove(&self, name: &str);
}
