//! Messages to the service manager (sd_notify(3)), and the sockets and the watchdog it may have
//! given.

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::bail;
use rustix::time::{ClockId, clock_gettime};

/// How long a manager that does not read may keep a message.
const SEND_TIMEOUT: Duration = Duration::from_secs(2);
/// The first descriptor that is passed (`SD_LISTEN_FDS_START`).
const FIRST: i32 = 3;

/// Reads a variable of the environment.
pub type Variable = fn(&str) -> Option<String>;

/// A service manager such as systemd; without one nothing is sent.
#[derive(Debug, Clone, Default)]
pub struct Supervisor {
    /// Where messages go (`NOTIFY_SOCKET`).
    address: Option<SocketAddr>,
    watchdog: Option<Duration>,
    /// The state of the server, for people. A std mutex: held to replace the text.
    serving: Arc<Mutex<String>>,
}

impl Supervisor {
    /// That of this process, by its environment.
    pub fn of(variable: Variable) -> Self {
        let socket = variable("NOTIFY_SOCKET").filter(|socket| !socket.is_empty());
        let address = socket.and_then(|socket| match socket.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name).ok(),
            None => SocketAddr::from_pathname(&socket).ok(),
        });
        Supervisor {
            address,
            watchdog: watchdog(variable),
            serving: Arc::default(),
        }
    }

    /// How long the watchdog waits for a sign of life, where there is one.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog.filter(|_| self.address.is_some())
    }

    /// On what the server will serve, for people.
    pub fn serves_on(&self, addresses: &str) {
        addresses.clone_into(&mut self.serving.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The server serves.
    pub fn ready(&self) {
        self.reloaded(None);
    }

    /// The settings are being read anew.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
        self.tell(&format!(
            "RELOADING=1\nMONOTONIC_USEC={micros}\nSTATUS=Reading the settings anew"
        ));
    }

    /// They were read, or why not.
    pub fn reloaded(&self, refused: Option<&str>) {
        let serving = self.serving.lock().unwrap_or_else(PoisonError::into_inner);
        let serving = serving.clone();
        let refused = refused.map(|reason| {
            let line = reason.lines().next().unwrap_or_default();
            format!("; the last reload changed nothing: {line}")
        });
        let refused = refused.unwrap_or_default();
        self.tell(&format!("READY=1\nSTATUS=Serving on {serving}{refused}"));
    }

    /// The server ends.
    pub fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=Ending; transfers under way may finish");
    }

    /// The server works, as far as it has looked.
    pub fn alive(&self) {
        self.tell("WATCHDOG=1");
    }

    fn tell(&self, message: &str) {
        let Some(address) = &self.address else {
            return;
        };
        let told = || -> io::Result<()> {
            let socket = UnixDatagram::unbound()?;
            socket.set_write_timeout(Some(SEND_TIMEOUT))?;
            loop {
                match socket.send_to_addr(message.as_bytes(), address) {
                    // A signal came while the manager's queue was full.
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    sent => return sent.map(drop),
                }
            }
        };
        if let Err(error) = told() {
            tracing::warn!(%error, "a message to the service manager was not sent");
        }
    }
}

/// sd_watchdog_enabled(3).
fn watchdog(variable: Variable) -> Option<Duration> {
    let micros = variable("WATCHDOG_USEC")?.parse().ok()?;
    let pid = variable("WATCHDOG_PID");
    let own = pid.is_none_or(|pid| pid == std::process::id().to_string());
    (own && micros > 0).then(|| Duration::from_micros(micros))
}

/// The listening sockets that this process was started with (sd_listen_fds(3)): their descriptors
/// and names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PassedSockets(Vec<(i32, String)>);

impl PassedSockets {
    /// Those that are meant for the process `pid`; none where they are another's.
    ///
    /// # Errors
    /// A variable is none of the protocol's.
    pub fn of(variable: impl Fn(&str) -> Option<String>, pid: u32) -> anyhow::Result<Self> {
        let (Some(to), Some(count)) = (variable("LISTEN_PID"), variable("LISTEN_FDS")) else {
            return Ok(PassedSockets::default());
        };
        if to != pid.to_string() {
            return Ok(PassedSockets::default());
        }
        let Some(count) = count
            .parse()
            .ok()
            .filter(|count| (0..=1024).contains(count))
        else {
            bail!("LISTEN_FDS={count:?} is no number of descriptors");
        };
        let names = variable("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let named = (FIRST..FIRST + count).map(|descriptor| {
            let name = names.next().filter(|name| !name.is_empty());
            (descriptor, name.unwrap_or("unknown").to_owned())
        });
        Ok(PassedSockets(named.collect()))
    }

    /// The descriptors with this name.
    pub fn named(&self, name: &str) -> Vec<i32> {
        let named = self.0.iter().filter(|(_, known)| known == name);
        named.map(|(descriptor, _)| *descriptor).collect()
    }

    /// All descriptors but those with one of these names.
    pub fn others(&self, names: &[&str]) -> Vec<i32> {
        let others = self
            .0
            .iter()
            .filter(|(_, name)| !names.contains(&name.as_str()));
        others.map(|(descriptor, _)| *descriptor).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_taken_by_the_process_they_are_for() {
        let read = |pairs: &[(&str, &str)]| {
            let find = |name: &str| {
                let mut pairs = pairs.iter();
                pairs
                    .find(|(known, _)| *known == name)
                    .map(|(_, value)| (*value).to_owned())
            };
            PassedSockets::of(find, 7)
        };
        let all = [
            ("LISTEN_PID", "7"),
            ("LISTEN_FDS", "3"),
            ("LISTEN_FDNAMES", "web:admin:web"),
        ];
        let passed = read(&all).unwrap();
        assert_eq!(passed.named("web"), [3, 5]);
        assert_eq!(passed.others(&["web"]), [4]);
        assert_eq!(passed.named("none"), [0; 0]);
        assert_eq!(read(&all[..2]).unwrap().named("unknown"), [3, 4, 5]);
        let none = PassedSockets::default();
        assert_eq!(read(&[("LISTEN_PID", "8"), all[1]]).unwrap(), none);
        assert_eq!(read(&all[1..]).unwrap(), none);
        for count in ["-1", "x", "5000"] {
            assert!(read(&[all[0], ("LISTEN_FDS", count)]).is_err(), "{count}");
        }
    }
}
