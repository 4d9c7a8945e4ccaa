//! The files of `static/`, which are part of the program: one that is missing does not compile.

/// The text of a file of `static/`.
macro_rules! static_file {
    ($($name:literal),+) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/static/", $($name),+))
    };
}

/// The files of a folder of `static/`, each with its name in it.
macro_rules! static_files {
    ($folder:literal: $($name:literal),+ $(,)?) => {
        [$(($name, static_file!($folder, $name))),+]
    };
}
