//! The connection to Redis, kept up.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::redis::aio::{ConnectionLike, MultiplexedConnection};
use ::redis::cluster::ClusterClient;
use ::redis::cluster_async::ClusterConnection;
use ::redis::cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo};
use ::redis::{
    AsyncConnectionConfig, Client, Cmd, FromRedisValue, ToRedisArgs, Value, cmd,
    io::tcp::TcpSettings,
};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::probe::{Server, servers};
use super::{Address, Error};
use crate::model::Timestamp;

/// How long a connection may take.
const CONNECTING: Duration = Duration::from_millis(500);
/// How long one server may take to answer one command.
const ANSWER: Duration = Duration::from_millis(500);
/// How long a command may take altogether.
const COMMAND: Duration = Duration::from_secs(1);
/// How often is asked whether all is well.
const LOOK: Duration = Duration::from_secs(1);
/// The same while it is not.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// After so long without an answer of a cluster its client is made anew, from the addresses of
/// the settings: those it has learned may lead nowhere any more.
const GIVEN_UP: Duration = Duration::from_secs(3);
/// How far the clock of Redis may be from ours.
const SKEW: Duration = Duration::from_secs(1);

/// A connection to Redis that is kept up in the background, as long as a clone of it lives.
#[derive(Clone)]
pub struct Link(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    monitor: tokio::task::JoinHandle<()>,
}

struct Shared {
    address: Address,
    /// Guards the connection. A std mutex: held to clone or to replace it.
    connection: Mutex<Option<Connection>>,
    /// Why Redis cannot be used now; `None` when it can.
    trouble: watch::Sender<Option<String>>,
    /// The run ids of all servers that hold keys.
    servers: watch::Sender<Vec<String>>,
    /// Asks for a look at once.
    doubt: Notify,
    /// Whether another link says in the log how Redis is.
    quiet: bool,
}

#[derive(Clone)]
enum Connection {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

/// Why Redis cannot be used from the start.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// It cannot be reached.
    #[error("cannot reach Redis at {address}: {source}")]
    Unreachable {
        /// Its address.
        address: Address,
        /// What the client library said.
        source: Error,
    },
    /// It is not one that wharf can use.
    #[error("cannot use Redis at {address}: {reason}")]
    Unfit {
        /// Its address.
        address: Address,
        /// Why.
        reason: String,
    },
}

impl Link {
    /// Connects, and looks at what answers.
    ///
    /// # Errors
    /// It cannot be reached, or cannot be used.
    pub async fn connect(address: Address) -> Result<Self, ConnectError> {
        Self::open(address, false).await
    }

    /// Another one to the same place, for what must not wait behind the commands of this: the
    /// client of a cluster holds all of them up while it looks for a server that was lost.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn another(&self) -> Result<Self, ConnectError> {
        Self::open(self.address().clone(), true).await
    }

    async fn open(address: Address, quiet: bool) -> Result<Self, ConnectError> {
        let unreachable = |source| ConnectError::Unreachable {
            address: address.clone(),
            source,
        };
        let mut connection = open(&address).await.map_err(unreachable)?;
        let servers = ask(&mut connection).await.map_err(unreachable)?;
        if let Some(reason) = servers.iter().find_map(Server::unfit) {
            return Err(ConnectError::Unfit { address, reason });
        }
        let shared = Arc::new(Shared {
            address,
            connection: Mutex::new(Some(connection)),
            trouble: watch::Sender::new(None),
            servers: watch::Sender::new(run_ids(servers)),
            doubt: Notify::new(),
            quiet,
        });
        let monitor = tokio::spawn(monitor(Arc::clone(&shared)));
        Ok(Link(Arc::new(Inner { shared, monitor })))
    }

    /// Where it leads.
    pub fn address(&self) -> &Address {
        &self.0.shared.address
    }

    /// Runs a command.
    ///
    /// # Errors
    /// Redis refuses it, or did not answer in time: then nobody knows whether it was run.
    pub async fn run<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Error> {
        let shared = &self.0.shared;
        let Some(mut connection) = shared.connection().clone() else {
            let trouble = shared.trouble.borrow().clone();
            let trouble = trouble.unwrap_or_else(|| "there is no connection".to_owned());
            return Err(io::Error::new(io::ErrorKind::NotConnected, trouble).into());
        };
        let answer = async {
            match &mut connection {
                Connection::Single(connection) => connection.req_packed_command(command).await,
                Connection::Cluster(connection) => connection.req_packed_command(command).await,
            }
        };
        let answer = match tokio::time::timeout(COMMAND, answer).await {
            Ok(answer) => answer.and_then(|value| Ok(T::from_redis_value(value)?)),
            Err(_) => Err(late()),
        };
        if answer.as_ref().is_err_and(|error| error.is_io_error()) {
            shared.doubt.notify_one();
        }
        answer
    }

    /// Runs a script on `keys`, all of one hash tag (EVAL: a server that has just taken over
    /// knows no script by its digest).
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn eval<T: FromRedisValue>(
        &self,
        script: &str,
        keys: &[String],
        args: impl ToRedisArgs,
    ) -> Result<T, Error> {
        let mut command = cmd("EVAL");
        command.arg(script).arg(keys.len()).arg(keys).arg(args);
        self.run(&command).await
    }

    /// Why Redis cannot be used now, if it cannot.
    ///
    /// # Errors
    /// The reason, for the operator.
    pub fn ready(&self) -> Result<(), String> {
        let trouble = self.0.shared.trouble.borrow();
        trouble.clone().map_or(Ok(()), Err)
    }

    /// The run ids of the servers that hold keys, as they change: one that has restarted, or
    /// taken over from another, may have lost what it was told last.
    pub fn servers(&self) -> watch::Receiver<Vec<String>> {
        self.0.shared.servers.subscribe()
    }

    /// The addresses of all servers, of those that stand by as well.
    pub(super) async fn nodes(&self) -> Result<Vec<::redis::ConnectionInfo>, Error> {
        let address = &self.0.shared.address;
        let Some(known) = address.nodes.first().filter(|_| address.cluster) else {
            return Ok(address.nodes.clone());
        };
        let slots: Vec<Vec<Value>> = self.run(cmd("CLUSTER").arg("SLOTS")).await?;
        let mut nodes = Vec::new();
        for range in slots {
            // Two ends, then a server of each: host, port, id and more.
            for node in range.into_iter().skip(2) {
                let Value::Array(node) = node else { continue };
                let mut node = node.into_iter();
                let host = node.next().map(String::from_redis_value);
                let port = node.next().map(u16::from_redis_value);
                let (Some(Ok(host)), Some(Ok(port))) = (host, port) else {
                    continue;
                };
                let found = at(known, host, port)?;
                let shown = found.addr().to_string();
                let new = |known: &::redis::ConnectionInfo| known.addr().to_string() != shown;
                if nodes.iter().all(new) {
                    nodes.push(found);
                }
            }
        }
        Ok(nodes)
    }
}

/// What another server of the cluster of `known` is reached by.
fn at(
    known: &::redis::ConnectionInfo,
    host: String,
    port: u16,
) -> Result<::redis::ConnectionInfo, Error> {
    use ::redis::ConnectionAddr::{Tcp, TcpTls};
    let addr = match (known.addr().clone(), host.is_empty()) {
        // A server that does not know its own address is reached where it was asked.
        (Tcp(host, _) | TcpTls { host, .. }, true) => return at(known, host, port),
        (
            TcpTls {
                insecure,
                tls_params,
                ..
            },
            false,
        ) => TcpTls {
            host,
            port,
            insecure,
            tls_params,
        },
        (_, _) => Tcp(host, port),
    };
    Ok(known.clone().set_addr(addr))
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.monitor.abort();
    }
}

impl Shared {
    fn connection(&self) -> MutexGuard<'_, Option<Connection>> {
        // Nothing between a lock and its release can panic.
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn set_trouble(&self, trouble: Option<String>) {
        let changed = self.trouble.send_if_modified(|known| {
            let changed = known.is_some() != trouble.is_some();
            known.clone_from(&trouble);
            changed
        });
        match trouble {
            _ if self.quiet => {}
            Some(trouble) if changed => tracing::error!("{trouble}"),
            None if changed => tracing::info!(address = %self.address, "Redis is well again"),
            _ => {}
        }
    }
}

/// How every connection to one server behaves.
pub(super) fn settings() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECTING))
        .set_response_timeout(Some(ANSWER))
}

async fn open(address: &Address) -> Result<Connection, Error> {
    if address.cluster {
        let client = ClusterClient::builder(address.nodes.clone())
            .retries(3)
            .min_retry_wait(20)
            .max_retry_wait(300)
            .connection_timeout(CONNECTING)
            .response_timeout(ANSWER)
            .overall_response_timeout(Some(COMMAND))
            .tcp_settings(TcpSettings::default().set_nodelay(true))
            .build()?;
        return Ok(Connection::Cluster(client.get_async_connection().await?));
    }
    let node = address.nodes.first().ok_or_else(late)?.clone();
    let tcp = node.tcp_settings().clone().set_nodelay(true);
    let client = Client::open(node.set_tcp_settings(tcp))?;
    let settings = settings();
    let connection = client.get_multiplexed_async_connection_with_config(&settings);
    Ok(Connection::Single(connection.await?))
}

/// Asks all servers that hold keys what they are.
async fn ask(connection: &mut Connection) -> Result<Vec<Server>, Error> {
    let mut info = cmd("INFO");
    info.arg("server").arg("memory");
    let answer = async {
        match connection {
            Connection::Single(connection) => connection.req_packed_command(&info).await,
            Connection::Cluster(connection) => {
                let masters = (MultipleNodeRoutingInfo::AllMasters, None);
                connection
                    .route_command(info, RoutingInfo::MultiNode(masters))
                    .await
            }
        }
    };
    let value = tokio::time::timeout(COMMAND, answer)
        .await
        .map_err(|_| late())??;
    Ok(servers(&value))
}

fn run_ids(servers: Vec<Server>) -> Vec<String> {
    let mut ids: Vec<String> = servers.into_iter().map(|server| server.run_id).collect();
    ids.sort();
    ids
}

fn late() -> Error {
    io::Error::new(io::ErrorKind::TimedOut, "Redis did not answer in time").into()
}

/// Looks after the connection for ever.
async fn monitor(shared: Arc<Shared>) {
    let mut last_well = Instant::now();
    loop {
        let result = look(&shared).await;
        let pause = match result {
            Ok(trouble) => {
                last_well = Instant::now();
                let well = trouble.is_none();
                shared.set_trouble(trouble);
                if well { LOOK } else { LOOK_AGAIN }
            }
            Err(error) => {
                let address = &shared.address;
                shared.set_trouble(Some(format!("Redis at {address} does not answer: {error}")));
                if !address.cluster || last_well.elapsed() > GIVEN_UP {
                    *shared.connection() = None;
                    last_well = Instant::now();
                }
                LOOK_AGAIN
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shared.doubt.notified() => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Connects where there is no connection, and asks whether all is well; answers what is not.
async fn look(shared: &Shared) -> Result<Option<String>, Error> {
    let known = shared.connection().clone();
    let mut connection = match known {
        Some(connection) => connection,
        None => {
            let opened = tokio::time::timeout(CONNECTING * 2, open(&shared.address)).await;
            opened.map_err(|_| late())??
        }
    };
    let found = ask(&mut connection).await?;
    let unfit = found.iter().find_map(Server::unfit);
    let ids = run_ids(found);
    let skew = skew(&mut connection).await?;
    *shared.connection() = Some(connection);
    shared.servers.send_if_modified(|known| {
        let changed = *known != ids;
        *known = ids;
        changed
    });
    if skew > SKEW {
        return Ok(Some(format!(
            "the clock of Redis at {} and this machine's differ by {} ms",
            shared.address,
            skew.as_millis()
        )));
    }
    Ok(unfit)
}

/// How far the clock of Redis is from ours.
async fn skew(connection: &mut Connection) -> Result<Duration, Error> {
    let time = cmd("TIME");
    let before = Timestamp::from(std::time::SystemTime::now());
    let answer = async {
        match connection {
            Connection::Single(connection) => connection.req_packed_command(&time).await,
            Connection::Cluster(connection) => {
                use ::redis::cluster_routing::SingleNodeRoutingInfo::RandomPrimary;
                let routing = RoutingInfo::SingleNode(RandomPrimary);
                connection.route_command(time, routing).await
            }
        }
    };
    let value = tokio::time::timeout(COMMAND, answer)
        .await
        .map_err(|_| late())??;
    let after = Timestamp::from(std::time::SystemTime::now());
    let (seconds, micros): (i64, i64) = FromRedisValue::from_redis_value(value)?;
    let theirs = Timestamp::from_millis(seconds * 1000 + micros / 1000);
    Ok(theirs.since(after).max(before.since(theirs)))
}
