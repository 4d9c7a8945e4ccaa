//! The pages for readers: their links lead somewhere, and the book has all of them.

use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The pages of the project: at the top, in `docs`, and in `benches`.
fn pages() -> Vec<PathBuf> {
    let folders = ["", "docs", "benches"].map(|folder| root().join(folder));
    let entries = folders
        .iter()
        .flat_map(|dir| std::fs::read_dir(dir).unwrap());
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect()
}

/// A page without its blocks of code and without code within lines.
fn prose(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let prose = text.split("```").step_by(2).collect::<String>();
    prose.split('`').step_by(2).collect()
}

/// The targets of the links of a page that lead to files of the project.
fn links(text: &str) -> Vec<String> {
    let targets = text.split("](").skip(1);
    let targets = targets.filter_map(|rest| rest.split(')').next());
    let own = targets.filter(|target| !target.contains("://") && !target.starts_with("mailto:"));
    own.map(str::to_owned).collect()
}

/// The anchor that a heading gets: in lower case, spaces as hyphens, without punctuation.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter_map(|c| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c.to_ascii_lowercase()),
        _ => None,
    });
    kept.collect()
}

fn anchors(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| anchor(line.trim_start_matches('#')))
        .collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut followed = 0;
    for page in pages() {
        for link in links(&prose(&page)) {
            let (file, fragment) = link.split_once('#').unwrap_or((&link, ""));
            let target = match file {
                "" => page.clone(),
                file => page.parent().unwrap().join(file),
            };
            assert!(target.exists(), "{}: {link}", page.display());
            let is_page = target
                .extension()
                .is_some_and(|extension| extension == "md");
            if !fragment.is_empty() && is_page {
                let known = anchors(&target);
                assert!(
                    known.iter().any(|known| known == fragment),
                    "{}: {link} is none of {known:?}",
                    page.display()
                );
            }
            followed += 1;
        }
    }
    assert!(followed > 60, "{followed}");
}

/// The README is short enough to be read: about two screens of text, before its last links.
#[test]
fn the_readme_is_short() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    assert!(readme.lines().count() <= 130, "{}", readme.lines().count());
}

#[test]
fn the_book_has_every_page() {
    let summary = std::fs::read_to_string(root().join("docs/SUMMARY.md")).unwrap();
    let listed = links(&summary);
    let pages = pages();
    let docs = pages
        .iter()
        .filter(|page| page.starts_with(root().join("docs")));
    let names = docs.map(|page| page.file_name().unwrap().to_str().unwrap().to_owned());
    let mut names: Vec<String> = names.filter(|name| name != "SUMMARY.md").collect();
    names.sort();
    let mut listed: Vec<String> = listed;
    listed.sort();
    assert_eq!(listed, names);
}
