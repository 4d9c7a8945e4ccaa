//! The files of an upload in their folders, as a list of lines that a template goes through.

use std::collections::HashMap;

/// A line of the list.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A folder begins.
    Open {
        /// Its name.
        name: &'a str,
        /// How many files are in it and in the folders in it.
        files: usize,
        /// Their bytes.
        size: u64,
        /// Whether all files right in it are pictures.
        pictures: bool,
    },
    /// A file: its place in the upload, and its name in the folder.
    File(usize, &'a str),
    /// The folder ends.
    Close,
}

/// A file as the tree sees it.
pub struct Leaf<'a> {
    /// Its path, with `/` between the folders.
    pub path: &'a str,
    /// Bytes.
    pub size: u64,
    /// Whether it is a picture that is shown.
    pub picture: bool,
}

/// The least pictures that are shown beside each other.
const PICTURES: usize = 3;

#[derive(Default)]
struct Folder<'a> {
    name: &'a str,
    folders: Vec<Folder<'a>>,
    known: HashMap<&'a str, usize>,
    files: Vec<(usize, &'a str)>,
    pictures: usize,
    count: usize,
    size: u64,
}

/// All lines: in each folder first the folders, then the files, in the order in which they came.
/// Also whether all files outside of folders are pictures.
pub fn lines<'a>(leaves: impl Iterator<Item = Leaf<'a>>) -> (Vec<Line<'a>>, bool) {
    let mut root = Folder::default();
    for (index, leaf) in leaves.enumerate() {
        let (folders, name) = leaf.path.rsplit_once('/').unwrap_or(("", leaf.path));
        let mut folder = &mut root;
        for part in folders.split('/').filter(|part| !part.is_empty()) {
            folder = folder.inner(part);
            folder.count += 1;
            folder.size += leaf.size;
        }
        folder.files.push((index, name));
        folder.pictures += usize::from(leaf.picture);
    }
    let mut lines = Vec::new();
    root.write(&mut lines);
    (lines, root.is_pictures())
}

impl<'a> Folder<'a> {
    fn inner(&mut self, name: &'a str) -> &mut Folder<'a> {
        let next = self.folders.len();
        let at = *self.known.entry(name).or_insert(next);
        if at == next {
            self.folders.push(Folder {
                name,
                ..Folder::default()
            });
        }
        &mut self.folders[at]
    }

    fn is_pictures(&self) -> bool {
        self.pictures >= PICTURES && self.pictures == self.files.len()
    }

    /// Goes as deep as paths have folders, which are few.
    fn write(&self, lines: &mut Vec<Line<'a>>) {
        for folder in &self.folders {
            lines.push(Line::Open {
                name: folder.name,
                files: folder.count,
                size: folder.size,
                pictures: folder.is_pictures(),
            });
            folder.write(lines);
            lines.push(Line::Close);
        }
        let files = self.files.iter();
        lines.extend(files.map(|&(index, name)| Line::File(index, name)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_lie_in_their_folders() {
        let paths = [
            "x/a.png",
            "b.txt",
            "x/y/c.png",
            "x/d.png",
            "z/e.txt",
            "x/f.png",
        ];
        let leaves = paths.iter().map(|path| Leaf {
            path,
            size: 10,
            picture: path.ends_with("png"),
        });
        let open = |name, files, pictures| Line::Open {
            name,
            files,
            size: 10 * files as u64,
            pictures,
        };
        let (lines, pictures) = lines(leaves);
        assert_eq!(
            lines,
            [
                open("x", 4, true),
                open("y", 1, false),
                Line::File(2, "c.png"),
                Line::Close,
                Line::File(0, "a.png"),
                Line::File(3, "d.png"),
                Line::File(5, "f.png"),
                Line::Close,
                open("z", 1, false),
                Line::File(4, "e.txt"),
                Line::Close,
                Line::File(1, "b.txt"),
            ]
        );
        assert!(!pictures);
    }
}
