//! The sockets that the server listens on, and their next connections.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener, UnixStream};

use crate::http::rules::origin::Peer;

/// How long to wait when the process has no descriptors left for another connection.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// A socket that is listened on.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A unix socket, removed at the end.
    Unix(UnixListener, PathBuf),
}

/// Opens a TCP listener.
///
/// # Errors
/// The address cannot be listened on.
pub async fn listen_tcp(address: SocketAddr) -> io::Result<Listener> {
    Ok(Listener::Tcp(TcpListener::bind(address).await?))
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
            Ok(Listener::Unix(UnixListener::bind(&path)?, path))
        }
        bound => Ok(Listener::Unix(bound?, path)),
    }
}

/// A connection between two runtimes.
pub enum Socket {
    /// Over TCP.
    Tcp(std::net::TcpStream),
    /// Over a unix socket.
    Unix(std::os::unix::net::UnixStream),
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
    use rustix::io::Errno;
    let is = |errno: Errno| error.raw_os_error() == Some(errno.raw_os_error());
    if [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM]
        .into_iter()
        .any(is)
    {
        tracing::error!(%error, "no room for another connection");
        tokio::time::sleep(EXHAUSTED).await;
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
