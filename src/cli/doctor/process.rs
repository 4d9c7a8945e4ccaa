//! The process: its clock, its descriptors, its addresses, and the clients that may use it.

use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::report::Report;
use crate::app::descriptors_room;
use crate::cli::exposure::Exposure;
use crate::cli::listening::reached;
use crate::config::{Config, ListenAddress, Loaded, SettingOrigin};
use crate::http::server::{listen_everywhere, listen_tcp};
use crate::http::tls::{ReadCertificates, Tls};
use crate::model::{Clock, Timestamp};

/// No clock that is right says an earlier time: 2026-01-01, since the Unix epoch.
const EARLIEST: Timestamp = Timestamp::from_millis(1_767_225_600_000);
/// The most bytes of the path of a unix socket (unix(7)).
const LONGEST_PATH: usize = 107;

pub fn clock(report: &mut Report) {
    let now = Clock::system().now();
    let text = format!("this machine says {now}");
    if now < EARLIEST {
        let advice = "set it, and keep it by NTP: deadlines count from it";
        report.error("clock", text, advice);
    } else {
        report.ok("clock", text);
    }
}

pub fn descriptors(config: &Config, report: &mut Report) {
    let wanted = config.app.max_connections;
    let (all, most) = descriptors_room(wanted);
    if most < wanted as u64 {
        report.warning(
            "descriptors",
            format!("{all} files may be open: enough for {most} connections, and max_connections is {wanted}"),
            "raise ulimit -n (systemd: LimitNOFILE), or lower max_connections",
        );
    } else {
        let text =
            format!("{all} files may be open: enough for max_connections, which is {wanted}");
        report.ok("descriptors", text);
    }
}

/// Whether the addresses can be listened on.
pub async fn listening(config: &Config, report: &mut Report) {
    for endpoint in config.listen.iter().chain(&config.admin_listen) {
        let (name, tried) = match &endpoint.address {
            ListenAddress::Tcp(text) => (text.clone(), try_tcp(text).await),
            ListenAddress::Everywhere(port) => {
                (format!(":{port}"), listen_everywhere(*port).await.map(drop))
            }
            ListenAddress::Unix(path) => (format!("unix:{}", path.display()), try_socket(path)),
            ListenAddress::Descriptor(number) => {
                report.ok("listen", format!("fd:{number} is passed at the start"));
                continue;
            }
            ListenAddress::Named(name) => {
                report.ok("listen", format!("{name:?} is passed at the start"));
                continue;
            }
        };
        match tried {
            Ok(()) => report.ok("listen", format!("{name} can be listened on")),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => report.warning(
                "listen",
                format!("{name} is taken"),
                "if not by wharf itself, end the other program or choose another port",
            ),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => report.error(
                "listen",
                format!("{name}: {error}"),
                "below 1024 a port needs CAP_NET_BIND_SERVICE; or listen elsewhere",
            ),
            Err(error) => {
                report.error(
                    "listen",
                    format!("{name}: {error}"),
                    "correct listen or bind",
                );
            }
        }
    }
}

async fn try_tcp(text: &str) -> io::Result<()> {
    for address in tokio::net::lookup_host(text).await? {
        listen_tcp(address).await?;
    }
    Ok(())
}

/// A socket that is there may be a server's: it is not touched.
fn try_socket(path: &Path) -> io::Result<()> {
    let above = match path.parent() {
        Some(above) if !above.as_os_str().is_empty() => above,
        _ => Path::new("."),
    };
    let writable = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    rustix::fs::access(above, writable)?;
    let length = path.as_os_str().as_bytes().len();
    if length > LONGEST_PATH {
        let reason = format!("the path has {length} bytes, and a socket's at most {LONGEST_PATH}");
        return Err(io::Error::other(reason));
    }
    Ok(())
}

/// The certificates of TLS of its own: whether they can be used, and when they end.
pub fn certificates(config: &Config, report: &mut Report) {
    if config.certificates.is_empty() {
        return;
    }
    let now = Clock::system().now();
    let read = match ReadCertificates::read(config.certificates.clone(), now) {
        Ok(read) => read,
        Err(error) => {
            let advice = "correct tls_cert and tls_key, or the files";
            return report.error("certificate", error.to_string(), advice);
        }
    };
    let warnings = read.warnings(now);
    for warning in &warnings {
        let advice = "have it renewed; wharf reads the files again when they change";
        report.warning("certificate", warning, advice);
    }
    if warnings.is_empty() {
        for (file, end) in Tls::new(read).ends() {
            report.ok("certificate", format!("{file} ends on {end}"));
        }
    }
}

/// The clients that may upload, and the actions that are open to all.
pub async fn access(config: &Config, loaded: &Loaded, report: &mut Report) {
    let listening = match reached(&config.listen).await {
        Ok(listening) => listening,
        // Said with the addresses.
        Err(_) => return,
    };
    let http = &config.app.http;
    let lifetime = loaded.get("default_expires_in").origin != SettingOrigin::Default;
    let exposure = Exposure::of(http, lifetime, &listening);
    let named = http.access.named();
    if let Err(error) = exposure.decided(named) {
        report.error(
            "access",
            error.to_string(),
            "decide it, or the server does not start",
        );
        return;
    }
    let warnings = exposure.warnings(named);
    for warning in &warnings {
        report.warning("access", warning, "see that this is meant");
    }
    if warnings.is_empty() {
        let names = exposure.names();
        report.ok(
            "access",
            format!("nothing is open to others; names: {names}"),
        );
    }
}
