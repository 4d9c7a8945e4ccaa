//! Finds the languages of the pages: every file of `static/words` is one, named by its tag.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=static/words");
    if std::env::var_os("CARGO_FEATURE_SERVER").is_none() {
        return;
    }
    let folder = |name: &str| PathBuf::from(std::env::var_os(name).expect("cargo sets it"));
    let words = folder("CARGO_MANIFEST_DIR").join("static/words");
    let list = folder("OUT_DIR").join("languages.rs");
    std::fs::write(list, languages(&words)).expect("cargo's folder can be written to");
}

/// The files as an array of tags and texts, in the order of the tags.
fn languages(words: &Path) -> String {
    let entries = std::fs::read_dir(words).expect("static/words is there");
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("static/words can be read").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .collect();
    files.sort();
    let mut list = String::from("[");
    for path in &files {
        let tag = path.file_stem().and_then(|stem| stem.to_str());
        let tag = tag.expect("the tag of a language is ASCII");
        let _ = writeln!(list, "({tag:?}, include_str!({path:?})),");
    }
    list + "]"
}
