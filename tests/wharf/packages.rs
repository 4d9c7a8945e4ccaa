//! The packages that `scripts/package` makes of the program under test.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::{Said, WHARF, as_root, say, wait_until};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Packs the program; the path of the package.
fn pack(kind: &str, dir: &Path) -> PathBuf {
    let out = Command::new(format!("{ROOT}/scripts/package"))
        .arg(kind)
        .args([Path::new(WHARF), dir])
        .env("DEBFULLNAME", "The packer")
        .env("DEBEMAIL", "packer@debian.org")
        .output()
        .unwrap();
    let said = Said::of(out);
    assert_eq!(said.code, Some(0), "{said:?}");
    said.out.trim().into()
}

#[track_caller]
fn run(command: &mut Command) -> String {
    let out = command.output().unwrap();
    let said = Said::of(out);
    assert_eq!(said.code, Some(0), "{command:?}: {said:?}");
    said.out
}

#[test]
fn a_debian_package_has_all_that_belongs_to_the_program() {
    let dir = tempfile::tempdir().unwrap();
    let package = pack("deb", dir.path());
    let root = dir.path().join("root");
    run(Command::new("dpkg-deb").arg("-x").args([&package, &root]));
    let field = |name: &str| run(Command::new("dpkg-deb").arg("-f").arg(&package).arg(name));
    assert_eq!(field("Version").trim(), format!("{VERSION}-1"));
    assert!(
        field("Depends").contains("libc6 (>= "),
        "{}",
        field("Depends")
    );
    // The program runs, and its own settings file is right.
    let wharf = root.join("usr/bin/wharf");
    let settings = root.join("etc/wharf/wharf.toml");
    let shown = run(Command::new(&wharf)
        .args(["config", "--config"])
        .arg(&settings)
        .env_clear());
    assert!(
        shown.contains("dir = \"/var/lib/wharf/upload\" # file"),
        "{shown}"
    );
    for (file, text) in [
        (
            "usr/lib/systemd/system/wharf.service",
            "ExecStart=/usr/bin/wharf serve",
        ),
        ("usr/lib/systemd/system/wharf.socket", "ListenStream="),
        ("usr/share/bash-completion/completions/wharf", "complete -F"),
        ("usr/share/zsh/vendor-completions/_wharf", "#compdef wharf"),
        (
            "usr/share/fish/vendor_completions.d/wharf.fish",
            "complete -c wharf",
        ),
        ("usr/share/doc/wharf/copyright", "Apache-2.0"),
    ] {
        let read = std::fs::read_to_string(root.join(file));
        assert!(read.unwrap().contains(text), "{file}: {text}");
    }
    for page in ["wharf", "wharf-upload", "wharf-doctor", "wharf-serve"] {
        let page = root.join(format!("usr/share/man/man1/{page}.1.gz"));
        assert!(run(Command::new("zcat").arg(page)).contains(".TH wharf"));
    }
    match Command::new("lintian")
        .arg("--allow-root")
        .arg(&package)
        .output()
    {
        Ok(out) => {
            let said = Said::of(out);
            assert!(!said.out.contains("E: "), "{}", said.out);
        }
        Err(error) => say(&format!("skipped: lintian: {error}")),
    }
}

#[test]
fn an_archive_is_as_installers_of_binaries_look_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let package = pack("tar", dir.path());
    let name = format!(
        "wharf-{VERSION}-{}-unknown-linux-gnu",
        std::env::consts::ARCH
    );
    assert_eq!(
        package.file_name().unwrap().to_str().unwrap(),
        format!("{name}.tar.gz")
    );
    run(Command::new("tar")
        .arg("-xzf")
        .arg(&package)
        .arg("-C")
        .arg(dir.path()));
    let version = run(Command::new(dir.path().join(&name).join("wharf")).arg("--version"));
    assert_eq!(version, format!("wharf {VERSION}\n"));
}

#[test]
fn a_package_for_rpm_has_the_same() {
    if Command::new("rpmbuild").arg("--version").output().is_err() {
        say("skipped: the RPM: no rpmbuild");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let package = pack("rpm", dir.path());
    let files = run(Command::new("rpm").args(["-qpl"]).arg(&package));
    for file in [
        "/usr/bin/wharf",
        "/etc/wharf/wharf.toml",
        "/usr/lib/systemd/system/wharf.service",
        "/usr/share/man/man1/wharf-upload.1.gz",
    ] {
        assert!(files.lines().any(|line| line == file), "{file}: {files}");
    }
    let settings = run(Command::new("rpm").args(["-qpc"]).arg(&package));
    assert_eq!(settings, "/etc/wharf/wharf.toml\n");
}

/// Installed, started, upgraded and purged in a Debian of its own.
#[test]
#[ignore = "a soak has it: it installs a Debian"]
fn a_debian_package_is_installed_upgraded_and_purged() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("debian");
    let made = as_root("debootstrap")
        .args(["--variant=minbase", "--include=adduser", "bookworm"])
        .arg(&root)
        .output();
    match made {
        Ok(made) if made.status.success() => {}
        made => {
            say(&format!(
                "skipped: the package in a Debian of its own: {made:?}"
            ));
            return;
        }
    }
    let package = pack("deb", dir.path());
    let inside = root.join("wharf.deb");
    std::fs::copy(&package, &inside).unwrap();
    let chroot = |args: &[&str]| -> Output {
        let mut command = as_root("chroot");
        command.arg(&root).args(args).env("LC_ALL", "C");
        command.output().unwrap()
    };
    let done = |args: &[&str]| {
        let said = Said::of(chroot(args));
        assert_eq!(said.code, Some(0), "{args:?}: {said:?}");
        said.out
    };
    done(&["dpkg", "-i", "/wharf.deb"]);
    let owner = done(&["stat", "-c", "%U:%G %a", "/var/lib/wharf"]);
    assert_eq!(owner, "wharf:wharf 750\n");
    let port = crate::support::redis::free_port().to_string();
    let mut server = as_root("chroot")
        .args(["--userspec=wharf:wharf"])
        .arg(&root)
        .args([
            "wharf",
            "serve",
            "--config",
            "/etc/wharf/wharf.toml",
            "--port",
            &port,
        ])
        .spawn()
        .unwrap();
    let address = format!("127.0.0.1:{port}");
    wait_until("it serves", || {
        assert!(server.try_wait().unwrap().is_none());
        TcpStream::connect(&address).is_ok()
    });
    let kept = std::fs::read_dir(root.join("var/lib/wharf/upload")).is_ok();
    let _ = server.kill();
    let _ = server.wait();
    assert!(kept);
    // Settings that were changed stay, in an upgrade and when it is removed.
    let settings = root.join("etc/wharf/wharf.toml");
    std::fs::write(&settings, "max_files = 7\n").unwrap();
    done(&[
        "dpkg",
        "-i",
        "--force-confdef",
        "--force-confold",
        "/wharf.deb",
    ]);
    assert_eq!(
        std::fs::read_to_string(&settings).unwrap(),
        "max_files = 7\n"
    );
    done(&["dpkg", "-r", "wharf"]);
    assert!(settings.exists() && !root.join("usr/bin/wharf").exists());
    done(&["dpkg", "-P", "wharf"]);
    assert!(!root.join("etc/wharf").exists());
    assert!(
        root.join("var/lib/wharf/upload").exists(),
        "what was uploaded stays"
    );
}
