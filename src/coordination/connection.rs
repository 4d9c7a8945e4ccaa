//! A connection to one server, or to all of a cluster.

use std::io;
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo, SingleNodeRoutingInfo};
use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, Value, cmd, io::tcp::TcpSettings};

use crate::coordination::probe::{RedisServer, servers};
use crate::coordination::{Address, Error};
use crate::model::{Clock, Timestamp};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// How long one server may take to answer one command.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(500);
/// How long a command may take altogether.
pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub enum RedisConnection {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

/// How every connection to one server behaves.
pub fn settings() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(RESPONSE_TIMEOUT))
}

impl RedisConnection {
    /// Connects.
    pub async fn open(address: &Address) -> Result<Self, Error> {
        let opened = tokio::time::timeout(CONNECT_TIMEOUT * 2, open(address)).await;
        opened.map_err(|_| timed_out())?
    }

    /// Runs a command.
    pub async fn run(&mut self, command: &Cmd) -> Result<Value, Error> {
        let answer = async {
            match self {
                RedisConnection::Single(connection) => connection.req_packed_command(command).await,
                RedisConnection::Cluster(connection) => {
                    connection.req_packed_command(command).await
                }
            }
        };
        with_timeout(answer).await
    }

    /// Asks all servers that hold keys for their run, version and eviction policy.
    pub async fn servers(&mut self) -> Result<Vec<RedisServer>, Error> {
        Ok(servers(&self.info(&["server", "memory"]).await?))
    }

    /// The same as they say it, in these sections of INFO.
    pub async fn info(&mut self, sections: &[&str]) -> Result<Value, Error> {
        let mut info = cmd("INFO");
        info.arg(sections);
        let answer = async {
            match self {
                RedisConnection::Single(connection) => connection.req_packed_command(&info).await,
                RedisConnection::Cluster(connection) => {
                    let masters = (MultipleNodeRoutingInfo::AllMasters, None);
                    let routing = RoutingInfo::MultiNode(masters);
                    connection.route_command(info, routing).await
                }
            }
        };
        with_timeout(answer).await
    }

    /// The same, and how far the clock of Redis is from ours.
    pub async fn inspect(&mut self) -> Result<(Vec<RedisServer>, Duration), Error> {
        Ok((self.servers().await?, self.skew().await?))
    }

    /// How far the clock of Redis is from ours.
    pub async fn skew(&mut self) -> Result<Duration, Error> {
        let time = cmd("TIME");
        let before = Clock::system().now();
        let answer = async {
            match self {
                RedisConnection::Single(connection) => connection.req_packed_command(&time).await,
                RedisConnection::Cluster(connection) => {
                    let routing = RoutingInfo::SingleNode(SingleNodeRoutingInfo::RandomPrimary);
                    connection.route_command(time, routing).await
                }
            }
        };
        let value = with_timeout(answer).await?;
        let after = Clock::system().now();
        let (seconds, micros): (i64, i64) = FromRedisValue::from_redis_value(value)?;
        let theirs = Timestamp::from_millis(seconds * 1000 + micros / 1000);
        Ok(theirs.since(after).max(before.since(theirs)))
    }

    /// Whether `error` says that this connection has ended, and a new one may work: the client of a
    /// cluster connects anew by itself.
    pub fn is_broken(&self, error: &Error) -> bool {
        matches!(self, RedisConnection::Single(_)) && error.is_io_error() && !error.is_timeout()
    }
}

async fn open(address: &Address) -> Result<RedisConnection, Error> {
    if address.cluster {
        let client = ClusterClient::builder(address.nodes.clone())
            .retries(3)
            .min_retry_wait(20)
            .max_retry_wait(300)
            .connection_timeout(CONNECT_TIMEOUT)
            .response_timeout(RESPONSE_TIMEOUT)
            .overall_response_timeout(Some(COMMAND_TIMEOUT))
            .tcp_settings(TcpSettings::default().set_nodelay(true))
            .build()?;
        return Ok(RedisConnection::Cluster(
            client.get_async_connection().await?,
        ));
    }
    let node = address.nodes.first().ok_or_else(timed_out)?.clone();
    let tcp = node.tcp_settings().clone().set_nodelay(true);
    let client = Client::open(node.set_tcp_settings(tcp))?;
    let settings = settings();
    let connection = client.get_multiplexed_async_connection_with_config(&settings);
    Ok(RedisConnection::Single(connection.await?))
}

async fn with_timeout(answer: impl Future<Output = Result<Value, Error>>) -> Result<Value, Error> {
    let answer = tokio::time::timeout(COMMAND_TIMEOUT, answer).await;
    answer.map_err(|_| timed_out())?
}

pub fn timed_out() -> Error {
    io::Error::new(io::ErrorKind::TimedOut, "Redis did not answer in time").into()
}
