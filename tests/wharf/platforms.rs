//! The client where the server is not: `wharf::client` on macOS and Windows, as far as the compiler
//! checks it here. No C is compiled for them, and nothing is linked.

use std::process::Command;

use crate::support::{Said, say};

#[test]
#[ignore = "a soak has it: it checks all dependencies of the client twice"]
fn the_client_is_right_on_macos_and_windows() {
    let root = env!("CARGO_MANIFEST_DIR");
    for target in ["x86_64-apple-darwin", "x86_64-pc-windows-gnu"] {
        let library = Command::new("rustc")
            .args(["--print", "target-libdir", "--target", target])
            .output();
        let installed = library.is_ok_and(|out| {
            let dir = String::from_utf8_lossy(&out.stdout).trim().to_owned();
            std::fs::read_dir(dir).is_ok_and(|mut files| files.next().is_some())
        });
        if !installed {
            say(&format!("skipped: {target}: rustup target add {target}"));
            continue;
        }
        let tool = |name: &str| format!("{name}_{}", target.replace('-', "_"));
        let checked = Command::new("cargo")
            .args(["check", "--locked", "--lib", "--target", target])
            .args(["--no-default-features", "--features", "client"])
            .current_dir(root)
            // Not the folder of the build that runs the tests, which may be locked.
            .env("CARGO_TARGET_DIR", format!("{root}/target/platforms"))
            // `check` links nothing: what a C compiler would have made is not asked for.
            .envs([(tool("CC"), "true"), (tool("AR"), "true")])
            .output();
        let said = Said::of(checked.unwrap());
        assert_eq!(said.code, Some(0), "{target}: {}", said.err);
        assert!(
            !said.err.contains("warning: unused"),
            "{target}: {}",
            said.err
        );
    }
}
