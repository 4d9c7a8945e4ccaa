//! The sockets that the server listens on, and their next connections.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use rustix::fs::FileType;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, sockopt};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket, UnixListener, UnixStream};

use crate::http::rules::origin::Peer;
use crate::http::tls::Tls;

/// How many connections may wait to be accepted, as [`TcpListener::bind`] has it.
const BACKLOG: u32 = 1024;

/// How long to wait when the process has no descriptors left for another connection.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// A socket that is listened on.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// TLS over TCP.
    Tls(TcpListener, Tls),
    /// A unix socket. One that was opened here has its path, which is removed at the end.
    Unix(UnixListener, Option<PathBuf>),
}

impl Listener {
    /// The same with TLS, where it is TCP: a unix socket has its client on this machine.
    #[must_use]
    pub fn secured(self, tls: &Tls) -> Self {
        match self {
            Listener::Tcp(listener) => Listener::Tls(listener, tls.clone()),
            other => other,
        }
    }
}

/// Opens a TCP listener.
///
/// # Errors
/// The address cannot be listened on.
pub async fn listen_tcp(address: SocketAddr) -> io::Result<Listener> {
    Ok(Listener::Tcp(TcpListener::bind(address).await?))
}

/// Opens a TCP listener on every address of the machine, of IPv6 and of IPv4; of IPv4 alone where
/// there is no IPv6.
///
/// # Errors
/// The port cannot be listened on.
pub async fn listen_everywhere(port: u16) -> io::Result<Listener> {
    let both = || {
        let socket = TcpSocket::new_v6()?;
        socket.set_reuseaddr(true)?;
        // The default is the system's (net.ipv6.bindv6only).
        sockopt::set_ipv6_v6only(&socket, false)?;
        socket.bind((Ipv6Addr::UNSPECIFIED, port).into())?;
        socket.listen(BACKLOG)
    };
    let absent = [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL].map(|errno| Some(errno.raw_os_error()));
    match both() {
        Err(error) if absent.contains(&error.raw_os_error()) => {
            listen_tcp((Ipv4Addr::UNSPECIFIED, port).into()).await
        }
        bound => Ok(Listener::Tcp(bound?)),
    }
}

/// Takes a listening socket that this process was started with (sd_listen_fds(3)), as a
/// duplicate: the descriptor itself stays as it is.
///
/// # Errors
/// There is no such descriptor, or it is none of a stream socket that listens; the error says what
/// it is. The duplicate needs Linux 5.6, and pidfd_getfd(2) where system calls are filtered.
pub async fn listen_passed(descriptor: i32) -> io::Result<Listener> {
    if !was_passed(descriptor) {
        let reason = "the process was not started with this descriptor";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
    }
    let own = pidfd_open(getpid(), PidfdFlags::empty())?;
    let socket: OwnedFd = match pidfd_getfd(&own, descriptor, PidfdGetfdFlags::empty()) {
        // On itself every process may.
        Err(error @ (Errno::PERM | Errno::NOSYS)) => {
            let reason = "a seccomp profile, or an old kernel, keeps it from taking the descriptor (pidfd_getfd)";
            return Err(io::Error::other(format!("{reason}: {error}")));
        }
        taken => taken?,
    };
    let refused = |what: &str| {
        let reason = format!("it is {what}, and not a stream socket that listens");
        io::Error::new(io::ErrorKind::InvalidInput, reason)
    };
    let mode = rustix::fs::fstat(&socket)?.st_mode;
    if FileType::from_raw_mode(mode) != FileType::Socket {
        let name = std::fs::read_link(format!("/proc/self/fd/{descriptor}"));
        let name = name.map_or_else(
            |_| "no socket".to_owned(),
            |name| name.display().to_string(),
        );
        return Err(refused(&name));
    }
    if sockopt::socket_type(&socket)? != SocketType::STREAM {
        return Err(refused("a socket of another type"));
    }
    if !sockopt::socket_acceptconn(&socket)? {
        return Err(refused("a socket that does not listen"));
    }
    match sockopt::socket_domain(&socket)? {
        AddressFamily::INET | AddressFamily::INET6 => {
            let listener = std::net::TcpListener::from(socket);
            listener.set_nonblocking(true)?;
            Ok(Listener::Tcp(TcpListener::from_std(listener)?))
        }
        AddressFamily::UNIX => {
            let listener = std::os::unix::net::UnixListener::from(socket);
            listener.set_nonblocking(true)?;
            Ok(Listener::Unix(UnixListener::from_std(listener)?, None))
        }
        _ => Err(refused("a socket of another family")),
    }
}

/// Whether the process was started with this descriptor. A descriptor that it opens itself has the
/// flag that closes it with execve(2), and one that came through execve has not (`flags` in
/// proc_pid_fdinfo(5)).
fn was_passed(descriptor: i32) -> bool {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{descriptor}"));
    let info = info.unwrap_or_default();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
    flags.is_some_and(|flags| flags & rustix::fs::OFlags::CLOEXEC.bits() == 0)
}

/// Opens a unix socket; a dead one of an earlier process in its place is removed.
///
/// # Errors
/// The path is taken by a living socket or another file, or cannot be made.
pub async fn listen_unix(path: PathBuf) -> io::Result<Listener> {
    match UnixListener::bind(&path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            use std::os::unix::fs::FileTypeExt as _;
            let is_socket = std::fs::symlink_metadata(&path)?.file_type().is_socket();
            if !is_socket || UnixStream::connect(&path).await.is_ok() {
                return Err(error);
            }
            std::fs::remove_file(&path)?;
            Ok(Listener::Unix(UnixListener::bind(&path)?, Some(path)))
        }
        bound => Ok(Listener::Unix(bound?, Some(path))),
    }
}

/// A connection between two runtimes.
pub enum Socket {
    /// Over TCP.
    Tcp(std::net::TcpStream),
    /// Over TCP from this address, with TLS.
    Tls(std::net::TcpStream, SocketAddr, Tls),
    /// Over a unix socket.
    Unix(std::os::unix::net::UnixStream),
}

impl Socket {
    /// Bounds the bytes that wait in the kernel to be sent (`TCP_NOTSENT_LOWAT`, tcp(7)). Over a unix
    /// socket they are bounded by its buffer.
    pub fn bound_unsent(&self, bytes: u32) {
        if let Socket::Tcp(stream) | Socket::Tls(stream, ..) = self {
            // It only saves memory.
            let _ = SockRef::from(stream).set_tcp_notsent_lowat(bytes);
        }
    }
}

/// The next connection.
///
/// # Errors
/// Of the connection, or of the listener: [`after_accept_error`] tells which.
pub async fn accept_one(listener: &Listener) -> io::Result<(Socket, Peer)> {
    match listener {
        Listener::Tcp(listener) => {
            let (stream, peer) = listener.accept().await?;
            // Without it the end of a small answer can wait for an acknowledgement.
            let _ = stream.set_nodelay(true);
            Ok((Socket::Tcp(stream.into_std()?), Peer::Tcp(peer)))
        }
        Listener::Tls(listener, tls) => {
            let (stream, peer) = listener.accept().await?;
            let _ = stream.set_nodelay(true);
            let socket = Socket::Tls(stream.into_std()?, peer, tls.clone());
            Ok((socket, Peer::Tcp(peer)))
        }
        Listener::Unix(listener, _) => {
            let (stream, _) = listener.accept().await?;
            Ok((Socket::Unix(stream.into_std()?), Peer::Unix))
        }
    }
}

/// Decides whether an error of accept(2) is one connection's, the process's or the listener's.
///
/// # Errors
/// The listener cannot accept any more.
pub async fn after_accept_error(error: io::Error) -> io::Result<()> {
    let is = |errno: Errno| error.raw_os_error() == Some(errno.raw_os_error());
    if [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM]
        .into_iter()
        .any(is)
    {
        tracing::error!(%error, "no room for another connection; accepting again soon");
        tokio::time::sleep(EXHAUSTED_PAUSE).await;
        return Ok(());
    }
    if [Errno::BADF, Errno::INVAL, Errno::NOTSOCK, Errno::OPNOTSUPP]
        .into_iter()
        .any(is)
    {
        return Err(error);
    }
    Ok(())
}
