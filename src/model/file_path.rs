//! The place of a file below its upload: folders that came with its name, and the name.

use std::collections::HashMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{FileName, UniqueNames};

/// The most bytes of a path. Of a longer one the outermost folders are left out.
const LIMIT: usize = 1024;

/// A safe relative path: [`FileName`]s with `/` between them. It leads nowhere but below the folder
/// that it is taken from.
///
/// ```
/// use wharf::model::FilePath;
///
/// let path = |name: &str| FilePath::from_upload(name.as_bytes()).to_string();
/// assert_eq!(path("photos/2026/a.jpg"), "photos/2026/a.jpg");
/// assert_eq!(path("photos\\..\\./b:.jpg"), "photos/b_.jpg");
/// // Whole paths of another machine are no folders that somebody chose.
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
        for folder in folders.rsplit(is_separator).filter(is_step) {
            let folder = FileName::from_upload(folder);
            if folder.as_str().len() + 1 + path.len() > LIMIT {
                break;
            }
            path.insert(0, '/');
            path.insert_str(0, folder.as_str());
        }
        FilePath(path.into())
    }

    /// The path of a stored file, when `text` can be one.
    ///
    /// # Errors
    /// It is too long, or one of its components can be no [`FileName`].
    pub fn parse(text: &str) -> Result<Self, FilePathError> {
        let names = text.split('/').all(|name| FileName::parse(name).is_ok());
        if text.len() <= LIMIT && names {
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

/// What stands before the last component of a relative name; `None` where nothing does, or the name
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
    /// The paths that are given out, of files and folders.
    names: UniqueNames,
    /// What the folders are called, with a `/` at the end, by the folded paths that were asked for.
    folders: HashMap<String, String>,
}

impl UniquePaths {
    /// `path`, or what it is called beside the paths given out before.
    pub fn assign(&mut self, path: &FilePath) -> FilePath {
        let (mut asked, mut folder) = (String::new(), String::new());
        let mut rest = path.as_str();
        while let Some((component, inner)) = rest.split_once('/') {
            let name = component_name(component);
            asked = asked + &name.folded() + "/";
            if !self.folders.contains_key(&asked) {
                let name = self.names.assign_in(&FileName::fold(&folder), name);
                self.folders
                    .insert(asked.clone(), format!("{folder}{name}/"));
            }
            folder.clone_from(&self.folders[&asked]);
            rest = inner;
        }
        let folded = FileName::fold(&folder);
        let name = self.names.assign_in(&folded, component_name(rest));
        FilePath(format!("{folder}{name}").into())
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
        assert_eq!(path(&deep).as_str().len(), LIMIT - 1);
        assert!(path(&deep).as_str().ends_with("/d/a.txt"));
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
