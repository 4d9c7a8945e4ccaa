//! The place of a file below its upload: folders that came with its name, and the name.

use std::collections::HashMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::file_name::MARK;
use super::{FileName, UniqueNames};

/// The most bytes of a path as a client can bring it about. Of a longer one the outermost folders
/// are left out.
const LIMIT: usize = 1024;
/// The most folders of a path, of which the outermost are left out as well: a form keeps each of
/// them in memory.
const MAX_FOLDERS: usize = 32;
/// The most bytes of a path that is read: every component may have been given a number.
const READ_LIMIT: usize = LIMIT + (MAX_FOLDERS + 1) * MARK;

/// The bytes of a folder in [`UniquePaths`] beside its names, and how often it keeps these.
const FOLDER: usize = 320;
const NAMES: usize = 4;

/// A safe relative path: [`FileName`]s with `/` between them. It leads nowhere but below the folder
/// that it is taken from.
///
/// ```
/// use wharf::model::FilePath;
///
/// let path = |name: &str| FilePath::from_upload(name.as_bytes()).to_string();
/// assert_eq!(path("photos/2026/a.jpg"), "photos/2026/a.jpg");
/// assert_eq!(path("photos\\..\\./b:.jpg"), "photos/b_.jpg");
/// // Whole paths of another machine are no folders that a sender chose.
/// assert_eq!(path("C:\\Users\\ana\\a.txt"), "a.txt");
/// assert_eq!(path("/home/ana/a.txt"), "a.txt");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilePath(Box<str>);

/// A text that cannot be a [`FilePath`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a safe relative path")]
pub struct FilePathError(String);

impl FilePath {
    /// The safe form of a name as a client gave it, with its folders. Both `/` and `\` separate.
    /// Every input has one.
    pub fn from_upload(name: &[u8]) -> Self {
        let file = FileName::from_upload(name);
        let Some(folders) = folders(name) else {
            return FilePath(file.as_str().into());
        };
        let mut path = file.as_str().to_owned();
        let steps = folders.rsplit(is_separator).filter(is_step);
        for folder in steps.take(MAX_FOLDERS) {
            let folder = FileName::from_upload(folder);
            if folder.as_str().len() + 1 + path.len() > LIMIT {
                break;
            }
            path.insert(0, '/');
            path.insert_str(0, folder.as_str());
        }
        FilePath(path.into())
    }

    /// Whether a name as a client gave it has folders that its path keeps.
    pub fn has_folders(name: &[u8]) -> bool {
        let mut steps = folders(name)
            .into_iter()
            .flat_map(|folders| folders.split(is_separator));
        steps.any(|step| is_step(&step))
    }

    /// The path of a stored file, when `text` can be one.
    ///
    /// # Errors
    /// It is too long, or one of its components can be no [`FileName`].
    pub fn parse(text: &str) -> Result<Self, FilePathError> {
        let names = text.split('/').all(|name| FileName::parse(name).is_ok());
        if text.len() <= READ_LIMIT && names {
            Ok(FilePath(text.into()))
        } else {
            Err(FilePathError(text.to_owned()))
        }
    }

    /// The last component.
    pub fn file_name(&self) -> FileName {
        let last = self.0.rsplit('/').next().unwrap_or_default();
        component_name(last)
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<FileName> for FilePath {
    fn from(name: FileName) -> Self {
        FilePath(name.as_str().into())
    }
}

/// The part before the last component of a relative name; `None` where there is none, or the name
/// begins at a root.
fn folders(name: &[u8]) -> Option<&[u8]> {
    let last = name.iter().rposition(is_separator)?;
    let drive = matches!(name, [letter, b':', ..] if letter.is_ascii_alphabetic());
    let rooted = drive || is_separator(&name[0]);
    (!rooted).then_some(&name[..last])
}

fn is_separator(byte: &u8) -> bool {
    matches!(byte, b'/' | b'\\')
}

/// Whether a component leads into a folder, and does not stay or go back.
fn is_step(component: &&[u8]) -> bool {
    !matches!(component.trim_ascii(), b"" | b"." | b"..")
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for FilePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for FilePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        FilePath::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// Gives each file of one form a path of its own: a second `x/a.txt` becomes `x/a (2).txt`, and what
/// is a file for one is no folder for another. Paths that differ in case alone count as the same.
#[derive(Debug, Default)]
pub struct UniquePaths {
    /// The names that are given out in each folder, of files and folders.
    names: UniqueNames,
    /// The folders, each by the number of the one that it is in and the folded name that was asked
    /// for. No path is kept whole: a deep one would be kept once for each of its folders.
    folders: HashMap<(usize, String), Folder>,
    /// The bytes that the folders take, about.
    kept: usize,
}

/// A folder that is given out.
#[derive(Debug)]
struct Folder {
    /// From 1; the folder of the form itself is 0.
    number: usize,
    name: FileName,
}

impl UniquePaths {
    /// The bytes that are kept of all folders, about. A path adds as much as it has new ones.
    pub fn kept(&self) -> usize {
        self.kept
    }

    /// `path`, or what it is called beside the paths given out before.
    pub fn assign(&mut self, path: &FilePath) -> FilePath {
        let (mut folder, mut assigned) = (0, String::with_capacity(path.0.len()));
        let mut rest = path.as_str();
        while let Some((component, inner)) = rest.split_once('/') {
            let name = component_name(component);
            let next = self.folders.len() + 1;
            let known = self.folders.entry((folder, name.folded()));
            let known = known.or_insert_with(|| {
                self.kept += FOLDER + NAMES * name.as_str().len();
                Folder {
                    number: next,
                    name: self.names.assign_in(&place(folder), name),
                }
            });
            folder = known.number;
            assigned.push_str(known.name.as_str());
            assigned.push('/');
            rest = inner;
        }
        let name = self.names.assign_in(&place(folder), component_name(rest));
        assigned.push_str(name.as_str());
        FilePath(assigned.into())
    }
}

/// The key that tells the names in one folder from those in another.
fn place(folder: usize) -> String {
    match folder {
        0 => String::new(),
        folder => format!("{folder}/"),
    }
}

fn component_name(component: &str) -> FileName {
    FileName::parse(component).expect("a path is made of names")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn path(name: &str) -> FilePath {
        FilePath::from_upload(name.as_bytes())
    }

    #[test]
    fn no_name_leads_outside() {
        for (name, expected) in [
            ("../../etc/passwd", "etc/passwd"),
            ("a/../../b/c.txt", "a/b/c.txt"),
            ("a/ .. /b.txt", "a/b.txt"),
            ("./a.txt", "a.txt"),
            ("a//b.txt", "a/b.txt"),
            ("a/", "a/file"),
            ("\\\\server\\share\\a.txt", "a.txt"),
            ("c:a/b.txt", "b.txt"),
            ("con/aux.txt", "_con/_aux.txt"),
            (".git/config", "_.git/config"),
            ("a/b\u{202e}c/d.txt", "a/bc/d.txt"),
        ] {
            assert_eq!(path(name).as_str(), expected, "{name}");
        }
        for text in [
            "", "/a", "a/", "a//b", "../a", "a/../b", "a\\b", ".a", "a/.b", "a\nb",
        ] {
            assert!(FilePath::parse(text).is_err(), "{text:?}");
        }
        let deep = "d/".repeat(2000) + "a.txt";
        assert_eq!(path(&deep).as_str(), "d/".repeat(MAX_FOLDERS) + "a.txt");
        let long = format!("{}/", "d".repeat(199)).repeat(9) + "a.txt";
        assert!(path(&long).as_str().len() <= LIMIT);
    }

    #[test]
    fn a_folder_is_kept_once() {
        let mut paths = UniquePaths::default();
        paths.assign(&path("a.txt"));
        assert_eq!(paths.kept(), 0);
        paths.assign(&path("x/yy/a.txt"));
        let kept = paths.kept();
        assert_eq!(kept, 2 * FOLDER + 3 * NAMES);
        for name in ["x/yy/b.txt", "X/a.txt", "x/yy/a.txt"] {
            paths.assign(&path(name));
        }
        assert_eq!(paths.kept(), kept);
    }

    /// The longest there are, numbered in every folder, can be read again.
    #[test]
    fn what_is_numbered_can_be_read() {
        for name in [
            format!("{}/", "d".repeat(199)).repeat(5) + &"a".repeat(19) + ".txt",
            "d/".repeat(MAX_FOLDERS) + &"a".repeat(199),
        ] {
            let mut paths = UniquePaths::default();
            let mut place = String::new();
            // A file stands where each folder would be.
            for component in path(&name).as_str().split('/') {
                place.push_str(component);
                paths.assign(&path(&place));
                place.push('/');
            }
            for _ in 0..3 {
                let assigned = paths.assign(&path(&name));
                assert_eq!(FilePath::parse(assigned.as_str()), Ok(assigned.clone()));
            }
        }
    }

    #[test]
    fn twins_are_numbered_in_their_folder() {
        let mut paths = UniquePaths::default();
        for (name, expected) in [
            ("x/a.txt", "x/a.txt"),
            ("X/A.TXT", "x/A (2).TXT"),
            ("a.txt", "a.txt"),
            ("y/a.txt", "y/a.txt"),
            ("x/a.txt", "x/a (3).txt"),
            // A file where a folder is, and a folder where a file is.
            ("x", "x (2)"),
            ("a.txt/b", "a (2).txt/b"),
            ("A.txt/c", "a (2).txt/c"),
            ("a (2).txt", "a (2) (2).txt"),
        ] {
            assert_eq!(paths.assign(&path(name)).as_str(), expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn every_file_has_a_place_of_its_own(
            names in prop::collection::vec("([abA]|a \\(2\\)|\u{e9}|e\u{301})(/([abB]|b \\(2\\))){0,3}", 1..40)
        ) {
            let mut paths = UniquePaths::default();
            let (mut files, mut folders) = (HashSet::new(), HashSet::new());
            for name in &names {
                let path = paths.assign(&path(name));
                prop_assert_eq!(FilePath::parse(path.as_str()), Ok(path.clone()));
                let folded = FileName::fold(path.as_str());
                for (at, _) in folded.match_indices('/') {
                    folders.insert(folded[..at].to_owned());
                }
                prop_assert!(files.insert(folded), "{} in {:?}", path, names);
            }
            prop_assert!(files.is_disjoint(&folders), "{:?}", names);
        }

        #[test]
        fn every_name_has_a_path_that_can_be_read(name in prop::collection::vec(any::<u8>(), 0..200)) {
            let path = FilePath::from_upload(&name);
            prop_assert_eq!(FilePath::parse(path.as_str()), Ok(path.clone()));
            prop_assert_eq!(path.file_name(), FileName::from_upload(&name));
        }
    }
}
