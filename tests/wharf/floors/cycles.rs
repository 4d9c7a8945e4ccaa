//! The files of a module do not import each other in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::sources;

type Module = Vec<String>;
type Modules = BTreeMap<Module, String>;

/// Every file by the path of its module, without comments, tests and visibilities, which import
/// nothing.
fn modules() -> Modules {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let texts = files.into_iter().map(|file| {
        let relative = file.strip_prefix(&root).unwrap().with_extension("");
        let mut module: Module = relative
            .iter()
            .map(|part| part.to_str().unwrap().to_owned())
            .collect();
        if matches!(
            module.last().map(String::as_str),
            Some("mod" | "lib" | "main")
        ) {
            module.pop();
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let lines = text.lines().map(|line| line.split("//").next().unwrap());
        let text: String = lines.flat_map(|line| [line, "\n"]).collect();
        (module, without_visibilities(&text))
    });
    let mut modules = Modules::new();
    for (module, text) in texts {
        // The library and the command are one here.
        modules.entry(module).or_default().push_str(&text);
    }
    modules
}

fn without_visibilities(text: &str) -> String {
    let mut pieces = text.split("pub(");
    let mut found = pieces.next().unwrap().to_owned();
    for piece in pieces {
        found.push_str("pub");
        found.push_str(piece.split_once(')').unwrap().1);
    }
    found
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The paths of a use tree or an expression that `text` begins with, behind `base`, and the names
/// they are given: `a::{b, c as d}` is two.
fn tree(text: &str, base: &[String], found: &mut Vec<(Module, String)>) -> usize {
    let mut path = base.to_vec();
    let mut at = 0;
    loop {
        let rest = &text[at..];
        let word = rest.len() - rest.trim_start_matches(is_word).len();
        if word > 0 {
            path.push(rest[..word].to_owned());
            at += word;
        } else if rest.starts_with('{') {
            at += 1;
            loop {
                at += text[at..].len() - text[at..].trim_start_matches([' ', '\n', ',']).len();
                if at >= text.len() || text[at..].starts_with('}') {
                    return (at + 1).min(text.len());
                }
                let read = tree(&text[at..], &path, found);
                // What is no path, such as `*`, is passed over.
                at += read.max(1);
            }
        }
        match text[at..].strip_prefix("::") {
            Some(_) => at += 2,
            None => break,
        }
    }
    let mut name = path.last().cloned().unwrap_or_default();
    if let Some(rest) = text[at..].strip_prefix(" as ") {
        name = rest.split(|c| !is_word(c)).next().unwrap().to_owned();
        at += " as ".len() + name.len();
    }
    found.push((path, name));
    at
}

/// The paths in `text` that begin with one of `roots`.
fn paths(text: &str, roots: &[&str]) -> Vec<(Module, String)> {
    let mut found = Vec::new();
    for root in roots {
        for (at, _) in text.match_indices(&format!("{root}::")) {
            if !text[..at].ends_with(|c| is_word(c) || c == ':') {
                tree(&text[at..], &[], &mut found);
            }
        }
    }
    found
}

/// A path as one from the root of the crate, seen from `here`.
fn absolute(here: &Module, path: &[String]) -> Module {
    let mut base = here.clone();
    let mut rest = path;
    while let Some((first, more)) = rest.split_first() {
        match first.as_str() {
            "crate" => base.clear(),
            "super" => drop(base.pop()),
            "self" => {}
            _ => break,
        }
        rest = more;
    }
    base.extend_from_slice(rest);
    base
}

/// What each module gives on from others: `pub use`.
fn reexports(modules: &Modules) -> BTreeMap<Module, BTreeMap<String, Module>> {
    let of = |(module, text): (&Module, &String)| {
        let mut names = BTreeMap::new();
        for piece in text.split("pub use ").skip(1) {
            let mut found = Vec::new();
            tree(piece, &[], &mut found);
            for (path, name) in found {
                names.insert(name, absolute(module, &path));
            }
        }
        (module.clone(), names)
    };
    modules.iter().map(of).collect()
}

/// The module in which the item at `path` is, wherever it is given on.
fn home(
    path: &[String],
    modules: &Modules,
    given_on: &BTreeMap<Module, BTreeMap<String, Module>>,
    depth: usize,
) -> Option<Module> {
    let len = (1..=path.len()).rev();
    let module = len
        .map(|len| &path[..len])
        .find(|it| modules.contains_key(*it))?;
    let rest = &path[module.len()..];
    if let Some((name, rest)) = rest.split_first()
        && depth < 6
        && let Some(source) = given_on[module].get(name)
    {
        let source: Module = source.iter().chain(rest).cloned().collect();
        if let Some(found) = home(&source, modules, given_on, depth + 1) {
            return Some(found);
        }
    }
    Some(module.to_vec())
}

/// Which module imports which. A module that declares its children, or gives on what is theirs,
/// does not import them; one that has a `use` of theirs does.
fn imports(modules: &Modules) -> BTreeMap<&Module, BTreeSet<Module>> {
    let given_on = reexports(modules);
    let of = |(module, text): (&'_ Module, &String)| {
        let mut found: BTreeSet<Module> = paths(text, &["crate", "super", "self"])
            .into_iter()
            .filter_map(|(path, _)| home(&absolute(module, &path), modules, &given_on, 0))
            .collect();
        for line in text.lines() {
            let child = line
                .strip_prefix("use ")
                .and_then(|rest| rest.split_once("::"));
            if let Some((child, _)) = child {
                let path: Module = module.iter().cloned().chain([child.to_owned()]).collect();
                found.extend(Some(path).filter(|path| modules.contains_key(path)));
            }
        }
        found.remove(module);
        found
    };
    modules.iter().map(|it| (it.0, of(it))).collect()
}

fn reached<'a>(
    from: &'a Module,
    imports: &'a BTreeMap<&Module, BTreeSet<Module>>,
) -> BTreeSet<&'a Module> {
    let mut found = BTreeSet::new();
    let mut left = vec![from];
    while let Some(module) = left.pop() {
        for next in imports.get(module).into_iter().flatten() {
            if found.insert(next) {
                left.push(next);
            }
        }
    }
    found
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let modules = modules();
    let imports = imports(&modules);
    assert!(imports.values().map(BTreeSet::len).sum::<usize>() > 500);
    let mut circles = BTreeSet::new();
    for module in imports.keys() {
        let mut circle: Vec<String> = reached(module, &imports)
            .into_iter()
            .filter(|other| reached(other, &imports).contains(*module))
            .map(|other| other.join("::"))
            .collect();
        circle.sort();
        circles.extend(Some(circle).filter(|circle| circle.len() > 1));
    }
    let import = |from: &str, to: &str| {
        let from: Module = from.split("::").map(str::to_owned).collect();
        let to: Module = to.split("::").map(str::to_owned).collect();
        imports[&from].contains(&to)
    };
    let mut said = String::new();
    for circle in &circles {
        for from in circle {
            for to in circle.iter().filter(|to| import(from, to)) {
                said += &format!("{from} imports {to}\n");
            }
        }
        said.push('\n');
    }
    assert!(
        circles.is_empty(),
        "files import each other in a circle:\n{said}"
    );
}

#[test]
fn a_use_tree_is_all_its_paths() {
    let mut found = Vec::new();
    let text = "super::a::{self, b::{C, D as E},\n    f,\n};";
    tree(text, &[], &mut found);
    let names: Vec<String> = found
        .iter()
        .map(|(path, name)| format!("{} {name}", path.join("::")))
        .collect();
    assert_eq!(
        names,
        [
            "super::a::self self",
            "super::a::b::C C",
            "super::a::b::D E",
            "super::a::f f"
        ]
    );
}
