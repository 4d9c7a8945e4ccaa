//! The connection to Redis, kept up.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::{Cmd, FromRedisValue, ToRedisArgs, Value, cmd};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::coordination::connection::{COMMAND_TIMEOUT, RedisConnection, timed_out};
use crate::coordination::probe::RedisServer;
use crate::coordination::{Address, Error};
use crate::measure;

/// How often Redis is asked whether it can be used.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// The same while it cannot be used.
const RETRY_INTERVAL: Duration = Duration::from_millis(200);
/// When a cluster has not answered for so long, the client connects anew to the addresses of the
/// settings: those that it has learned may be out of date.
const RECONNECT_AFTER: Duration = Duration::from_secs(3);
/// On how many connections, one after the other, Redis is asked before it counts as away.
const MAX_TRIES: u32 = 4;
/// The most that the clocks of Redis and of this machine may differ.
const MAX_SKEW: Duration = Duration::from_secs(1);

/// A connection to Redis that is kept up in the background, as long as a clone of it lives.
#[derive(Clone)]
pub struct Link(Arc<LinkInner>);

struct LinkInner {
    shared: Arc<LinkState>,
    monitor: tokio::task::JoinHandle<()>,
}

struct LinkState {
    address: Address,
    /// Guards the connection. A std mutex: held to clone or to replace it.
    slot: Mutex<ConnectionSlot>,
    /// Held by the task that connects anew. A tokio mutex: the other tasks wait for the same
    /// connection.
    renewing: tokio::sync::Mutex<()>,
    /// Why Redis cannot be used now; `None` when it can.
    trouble: watch::Sender<Option<String>>,
    /// The run ids of all servers that hold keys.
    servers: watch::Sender<Vec<String>>,
    /// Asks for a check at once.
    check_now: Notify,
    /// Whether another link logs the state of Redis.
    quiet: bool,
}

/// The current connection.
struct ConnectionSlot {
    /// Counts the connections that were opened or given up.
    number: u64,
    connection: Option<RedisConnection>,
}

/// Why Redis cannot be used from the start.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// It cannot be reached.
    #[error("cannot reach Redis at {address}: {source}")]
    Unreachable {
        /// Its address.
        address: Address,
        /// The client library's message.
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
    /// Connects, and asks the servers whether they can be used.
    ///
    /// # Errors
    /// It cannot be reached, or cannot be used.
    pub async fn connect(address: Address) -> Result<Self, ConnectError> {
        Self::open(address, false).await
    }

    /// Another link to the same address, for commands that must not wait behind those of this one:
    /// the client of a cluster delays all of them while it searches for a server that was lost.
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
        let mut connection = RedisConnection::open(&address).await.map_err(unreachable)?;
        let servers = connection.servers().await.map_err(unreachable)?;
        if let Some(reason) = servers.iter().find_map(RedisServer::unfit) {
            return Err(ConnectError::Unfit { address, reason });
        }
        let slot = ConnectionSlot {
            number: 0,
            connection: Some(connection),
        };
        let shared = Arc::new(LinkState {
            address,
            slot: Mutex::new(slot),
            renewing: tokio::sync::Mutex::default(),
            trouble: watch::Sender::new(None),
            servers: watch::Sender::new(run_ids(servers)),
            check_now: Notify::new(),
            quiet,
        });
        let monitor = tokio::spawn(monitor(Arc::clone(&shared)));
        Ok(Link(Arc::new(LinkInner { shared, monitor })))
    }

    /// The address of Redis.
    pub fn address(&self) -> &Address {
        &self.0.shared.address
    }

    /// Runs a command, which must be one that may run twice without harm: on a connection that
    /// turns out to be broken it may have been run, and is tried once more on another.
    ///
    /// # Errors
    /// Redis refuses it, or did not answer in time: then it may have been run all the same.
    pub async fn run<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Error> {
        let timed = measure::REDIS.begin(operation(command));
        let answer = self.ask(command).await;
        timed.end(answer.is_err());
        Ok(T::from_redis_value(answer?)?)
    }

    /// The answer to a command, on a second connection where the first one turns out to be broken.
    async fn ask(&self, command: &Cmd) -> Result<Value, Error> {
        let shared = &self.0.shared;
        let (number, connection) = shared.current();
        let mut connection = connection.ok_or_else(|| shared.not_connected())?;
        let mut answer = connection.run(command).await;
        if answer
            .as_ref()
            .is_err_and(|error| connection.is_broken(error))
        {
            let again = async { shared.renew(number).await?.run(command).await };
            answer = tokio::time::timeout(COMMAND_TIMEOUT, again)
                .await
                .unwrap_or_else(|_| Err(timed_out()));
        }
        if answer.as_ref().is_err_and(Error::is_io_error) {
            shared.check_now.notify_one();
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

    /// Returns when Redis, which cannot be used now or at a later time, can be used again.
    pub async fn reachable_again(&self) {
        let mut trouble = self.0.shared.trouble.subscribe();
        let went = trouble.wait_for(Option::is_some).await.is_ok();
        if !went || trouble.wait_for(Option::is_none).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// The run ids of the servers that hold keys, as they change: one that has restarted, or
    /// taken over from another, may have lost the last changes.
    pub fn servers(&self) -> watch::Receiver<Vec<String>> {
        self.0.shared.servers.subscribe()
    }

    /// The addresses of all servers, replicas included.
    pub(super) async fn nodes(&self) -> Result<Vec<redis::ConnectionInfo>, Error> {
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
                let new = |known: &redis::ConnectionInfo| known.addr().to_string() != shown;
                if nodes.iter().all(new) {
                    nodes.push(found);
                }
            }
        }
        Ok(nodes)
    }
}

/// What a command is, as the counters call it.
fn operation(command: &Cmd) -> &'static str {
    match command.args_iter().next() {
        Some(redis::Arg::Simple(b"EVAL")) => "eval",
        Some(redis::Arg::Simple(b"GET")) => "get",
        Some(redis::Arg::Simple(b"HGET")) => "hget",
        Some(redis::Arg::Simple(b"HMGET")) => "hmget",
        Some(redis::Arg::Simple(b"SET")) => "set",
        Some(redis::Arg::Simple(b"ZRANGE")) => "zrange",
        _ => "other",
    }
}

/// The connection settings for another server of the cluster of `known`.
fn at(
    known: &redis::ConnectionInfo,
    host: String,
    port: u16,
) -> Result<redis::ConnectionInfo, Error> {
    use redis::ConnectionAddr::{Tcp, TcpTls};
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

impl Drop for LinkInner {
    fn drop(&mut self) {
        self.monitor.abort();
    }
}

impl LinkState {
    fn slot(&self) -> MutexGuard<'_, ConnectionSlot> {
        // Nothing between a lock and its release can panic.
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection, and its number.
    fn current(&self) -> (u64, Option<RedisConnection>) {
        let slot = self.slot();
        (slot.number, slot.connection.clone())
    }

    /// Puts a connection, or none, in the place of that of this number; not of a later one.
    fn replace(&self, number: u64, connection: Option<RedisConnection>) {
        let mut slot = self.slot();
        if slot.number == number {
            slot.number += 1;
            slot.connection = connection;
        }
    }

    /// Replaces the connection of this number, which is broken or missing, by one new connection
    /// for all tasks that ask. If that cannot be made, all of them fail, and the monitor tries
    /// again.
    async fn renew(&self, number: u64) -> Result<RedisConnection, Error> {
        let _turn = self.renewing.lock().await;
        let (now, connection) = self.current();
        if now != number {
            return connection.ok_or_else(|| self.not_connected());
        }
        let opened = RedisConnection::open(&self.address).await;
        self.replace(number, opened.as_ref().ok().cloned());
        if opened.is_ok() {
            // It may lead to another server, or to another run of the same.
            self.check_now.notify_one();
        }
        opened
    }

    /// The error where there is no connection.
    fn not_connected(&self) -> Error {
        let trouble = self.trouble.borrow().clone();
        let trouble = trouble.unwrap_or_else(|| "there is no connection".to_owned());
        io::Error::new(io::ErrorKind::NotConnected, trouble).into()
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
            None if changed => tracing::info!(address = %self.address, "Redis can be used again"),
            _ => {}
        }
    }
}

fn run_ids(servers: Vec<RedisServer>) -> Vec<String> {
    let mut ids: Vec<String> = servers.into_iter().map(|server| server.run_id).collect();
    ids.sort();
    ids
}

/// Checks the connection for ever.
async fn monitor(shared: Arc<LinkState>) {
    let mut last_well = Instant::now();
    loop {
        let (number, _) = shared.current();
        let result = check(&shared).await;
        let pause = match result {
            Ok(trouble) => {
                last_well = Instant::now();
                let well = trouble.is_none();
                shared.set_trouble(trouble);
                if well { CHECK_INTERVAL } else { RETRY_INTERVAL }
            }
            Err(error) => {
                let address = &shared.address;
                shared.set_trouble(Some(format!("Redis at {address} does not answer: {error}")));
                if !address.cluster || last_well.elapsed() > RECONNECT_AFTER {
                    shared.replace(number, None);
                    last_well = Instant::now();
                }
                RETRY_INTERVAL
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shared.check_now.notified() => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Connects where there is no connection, and asks Redis whether it can be used; answers why not.
/// A connection that was cut is no trouble as long as another one can be made.
async fn check(shared: &LinkState) -> Result<Option<String>, Error> {
    let mut tries = MAX_TRIES;
    let (found, skew) = loop {
        let (number, known) = shared.current();
        let mut connection = match known {
            Some(connection) => connection,
            None => shared.renew(number).await?,
        };
        tries -= 1;
        match connection.inspect().await {
            Err(error) if connection.is_broken(&error) && tries > 0 => {
                shared.renew(number).await?;
            }
            inspected => break inspected?,
        }
    };
    let unfit = found.iter().find_map(RedisServer::unfit);
    let ids = run_ids(found);
    shared.servers.send_if_modified(|known| {
        let changed = *known != ids;
        *known = ids;
        changed
    });
    if skew > MAX_SKEW {
        return Ok(Some(format!(
            "the clock of Redis at {} and this machine's differ by {} ms",
            shared.address,
            skew.as_millis()
        )));
    }
    Ok(unfit)
}
