//! The probe for containers, the image, and the files for compose and Kubernetes.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::redis::free_port;
use crate::support::{Form, S3, Server, Setup, WHARF, certificate, request, say, wait_until};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Exit code and words of `wharf healthcheck` with these settings.
fn check(setup: &Setup, args: &[&str]) -> (Option<i32>, String) {
    let mut all = vec!["healthcheck"];
    all.extend_from_slice(args);
    let out = setup.run(&all);
    let said = String::from_utf8([out.stdout, out.stderr].concat()).unwrap();
    (out.status.code(), said)
}

#[test]
fn a_probe_asks_the_server_of_its_settings() {
    let dir = tempfile::tempdir().unwrap();
    let socket = format!("unix:{}/s", dir.path().display());
    let port = free_port().to_string();
    // A proxy of the environment is not asked for this machine.
    let setup = || Setup::new().env("HTTP_PROXY", "http://127.0.0.1:1");
    let well = (Some(0), "ready\n".to_owned());
    let mut server = Setup::new()
        .for_everybody()
        .args(&["--listen", &format!(":{port}"), "--listen", &socket])
        .args(&["--base-path", "/w", "--hosts", "files.example"])
        .start();
    for args in [
        ["--port", &port].as_slice(),
        &["--port", &port, "--bind", "*"],
        &["--listen", &format!("0.0.0.0:{port}")],
        &["--listen", &format!("localhost:{port}")],
        &["--listen", &socket],
        &["--admin-listen", &socket, "--port", "1"],
        &["--listen", "fd:3", "--listen", &socket],
    ] {
        assert_eq!(check(&setup(), args), well, "{args:?}");
    }
    server.signal(15);
    assert!(server.wait().success());
    let (code, said) = check(&setup(), &["--port", &port]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&port) && said.contains("refused"), "{said}");
    let (code, said) = check(&setup(), &["--port", "0"]);
    assert!(code == Some(1) && said.contains("no address"), "{said}");
    let (code, said) = check(&setup(), &["--listen", &socket]);
    assert!(code == Some(1) && said.contains("/s"), "{said}");
}

#[test]
fn a_probe_takes_the_certificate_of_its_own_server() {
    let dir = tempfile::tempdir().unwrap();
    certificate(dir.path(), "files.example", "DNS:files.example", "now", 1);
    let file = |end: &str| {
        dir.path()
            .join(format!("files.example.{end}"))
            .display()
            .to_string()
    };
    let port = free_port().to_string();
    let (cert, key) = (file("pem"), file("key"));
    let tls = ["--tls-cert", &cert, "--tls-key", &key, "--port", &port];
    let _server = Setup::new().args(&tls).start();
    assert_eq!(check(&Setup::new(), &tls), (Some(0), "ready\n".to_owned()));
    let out = Setup::new().run(&[&["doctor"], &tls[..]].concat());
    let said = String::from_utf8(out.stdout).unwrap();
    let certificate = said.lines().find(|line| line.contains("  certificate "));
    assert!(
        certificate.is_some_and(|line| line.contains("files.example.pem")),
        "{said}"
    );
}

#[test]
fn a_probe_says_why_a_server_is_not_ready() {
    let server = Server::start();
    let port = server.address.port().to_string();
    let store = server.store();
    let away = server.dir().join("away");
    std::fs::rename(&store, &away).unwrap();
    let mut said = (None, String::new());
    wait_until("it is not ready", || {
        said = check(&Setup::new(), &["--port", &port]);
        said.0 == Some(1)
    });
    assert!(
        said.1.contains("503") && said.1.contains("storage"),
        "{said:?}"
    );
    std::fs::rename(&away, &store).unwrap();
    wait_until("it is ready again", || {
        check(&Setup::new(), &["--port", &port]).0 == Some(0)
    });
}

/// buildah, which keeps all in a folder of its own and needs no privileges beyond root's.
struct Buildah(PathBuf);

impl Buildah {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("buildah");
        command
            .arg("--root")
            .arg(self.0.join("root"))
            .arg("--runroot")
            .arg(self.0.join("run"))
            .args(["--storage-driver", "vfs"])
            .args(args)
            .env("BUILDAH_ISOLATION", "chroot")
            .current_dir(ROOT);
        command
    }

    #[track_caller]
    fn done(&self, args: &[&str]) -> String {
        let out = self.command(args).output().unwrap();
        assert!(out.status.success(), "{args:?}: {out:?}");
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    }
}

/// The image is built by the file that is shipped, of what `deploy/rootfs` puts together here in
/// the place of the stage that compiles, since no image of others can be fetched; and runs.
#[test]
fn the_image_is_built_and_runs() {
    if !rustix::process::geteuid().is_root() || Command::new("buildah").arg("-v").output().is_err()
    {
        say("skipped: the image: not root, or no buildah");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let buildah = Buildah(dir.path().join("storage"));
    let files = dir.path().join("files");
    let made = Command::new(format!("{ROOT}/deploy/rootfs"))
        .arg(WHARF)
        .arg(files.join("image"))
        .status();
    assert!(made.unwrap().success());
    let base = buildah.done(&["from", "scratch"]);
    buildah.done(&["copy", &base, files.to_str().unwrap(), "/"]);
    buildah.done(&["commit", "--rm", &base, "localhost/files"]);
    let mut build = vec!["build", "--format", "docker", "-t", "wharf"];
    build.extend(["--build-arg", "FILES=localhost/files"]);
    build.extend(["--build-arg", "RUST=localhost/files"]);
    buildah.done(&[&build[..], &["-f", "deploy/Containerfile", "."]].concat());
    let image = buildah.done(&["inspect", "--type", "image", "wharf"]);
    let image: serde_json::Value = serde_json::from_str(&image).unwrap();
    let config = &image["Docker"]["config"];
    assert_eq!(config["User"], "65532:65532");
    assert!(config["Volumes"]["/upload"].is_object(), "{config}");
    assert_eq!(config["Healthcheck"]["Test"][2], "healthcheck");

    let container = buildah.done(&["from", "--pull-never", "wharf"]);
    let port = free_port().to_string();
    let run = |args: &[&str]| {
        let mut all = vec!["run", "--env"];
        let port = format!("WHARF_PORT={port}");
        all.extend([&port, "--env", "WHARF_OPEN=true"]);
        all.extend(["--env", "WHARF_DEFAULT_EXPIRES_IN=7d", &container, "--"]);
        all.extend_from_slice(args);
        buildah.command(&all)
    };
    // A shell there is none.
    assert!(
        !run(&["/bin/sh", "-c", "true"])
            .output()
            .unwrap()
            .status
            .success()
    );
    let mut server = run(&["/usr/bin/wharf", "serve"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let healthy = || {
        run(&["/usr/bin/wharf", "healthcheck"])
            .output()
            .unwrap()
            .status
            .success()
    };
    wait_until("it is healthy", || {
        assert!(server.try_wait().unwrap().is_none(), "it has ended");
        healthy()
    });
    let form = Form::new().file("f", "a.txt", b"some text");
    let content_type = form.content_type();
    let address = format!("127.0.0.1:{port}").parse().unwrap();
    let headers = [("Content-Type", content_type.as_str())];
    let stored = request(address, "POST", "/upload", &headers, &form.body());
    assert_eq!(stored.status, 201, "{}", stored.text());
    use std::os::unix::fs::MetadataExt as _;
    let mounted = buildah.done(&["mount", &container]);
    let owner = std::fs::metadata(Path::new(&mounted).join("upload")).unwrap();
    assert_eq!((owner.uid(), owner.gid()), (65532, 65532));
    let ended = end(&mut server);
    assert!(ended, "SIGTERM ends it");
    assert!(!healthy());
}

/// Ends the server in the container: the program that runs it passes no signal on.
fn end(runner: &mut std::process::Child) -> bool {
    let below = |parent: u32| {
        let out = Command::new("ps")
            .args(["-o", "pid=", "--ppid", &parent.to_string()])
            .output();
        let text = String::from_utf8(out.unwrap().stdout).unwrap();
        text.split_whitespace()
            .map(|pid| pid.parse::<u32>().unwrap())
            .collect::<Vec<_>>()
    };
    let mut last = vec![runner.id()];
    loop {
        let next: Vec<u32> = last.iter().copied().flat_map(below).collect();
        match next.is_empty() {
            true => break,
            false => last = next,
        }
    }
    for pid in last {
        let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
    runner.wait().unwrap().success()
}

#[test]
fn the_files_for_kubernetes_and_compose_are_right() {
    let python = |args: &[&str]| S3::python().args(args).current_dir(ROOT).output().unwrap();
    let out = python(&[
        "-m",
        "kubernetes_validate",
        "--strict",
        "deploy/kubernetes.yaml",
    ]);
    assert!(out.status.success(), "{out:?}");
    // The settings of both are settings, and a server starts with them.
    let settings = "import json, yaml\n\
        documents = list(yaml.safe_load_all(open('deploy/kubernetes.yaml')))\n\
        print(json.dumps(documents[0]['data']))\n\
        services = yaml.safe_load(open('deploy/compose.yaml'))['services']\n\
        assert len([name for name in services if name.startswith('wharf')]) == 3\n\
        print(json.dumps(services['wharf1']['environment']))\n";
    let out = python(&["-c", settings]);
    assert!(out.status.success(), "{out:?}");
    for line in String::from_utf8(out.stdout).unwrap().lines() {
        let variables: std::collections::BTreeMap<String, String> =
            serde_json::from_str(line).unwrap();
        let mut setup = Setup::new();
        for (name, value) in &variables {
            setup = setup.env(name, value);
        }
        let secrets = [
            ("WHARF_ACCESS", "upload+list:s"),
            ("AWS_ACCESS_KEY_ID", "a"),
            ("AWS_SECRET_ACCESS_KEY", "b"),
        ];
        let out = secrets
            .into_iter()
            .fold(setup, |setup, (name, value)| setup.env(name, value))
            .run(&["config", "--json"]);
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(out.status.success() && said.is_empty(), "{said}");
        let shown: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
        for name in variables
            .keys()
            .filter_map(|name| name.strip_prefix("WHARF_"))
        {
            let setting = &shown[name.to_lowercase()];
            assert_eq!(setting["origin"], "environment", "{name}");
        }
    }
}
