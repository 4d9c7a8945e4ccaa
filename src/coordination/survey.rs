//! A look at Redis before a server uses it. It changes nothing there.

use std::time::{Duration, Instant};

use redis::{FromRedisValue as _, InfoDict, Value, cmd};

use super::connection::RedisConnection;
use super::probe::{RedisServer, texts};
use super::{Address, Error};

/// How often Redis is asked, to tell how long that takes.
const ASKED: usize = 5;

/// The findings.
#[derive(Debug)]
pub struct RedisSurvey {
    /// Each server that holds keys.
    pub servers: Vec<SurveyedServer>,
    /// How long an answer takes: the median.
    pub answer: Duration,
    /// How far the clock of Redis is from this machine's.
    pub skew: Duration,
    /// Of a cluster: whether all of it serves, as it says.
    pub cluster_ok: Option<bool>,
    /// The events on keys that expire, by CONFIG; `None` where CONFIG is forbidden.
    pub key_events: Option<String>,
    /// How many replicas a write needs; `None` where CONFIG is forbidden.
    pub min_replicas: Option<u64>,
}

/// A server, as INFO describes it.
#[derive(Debug)]
pub struct SurveyedServer {
    /// Its major and minor version.
    pub version: (u32, u32),
    /// Why it cannot be used, if it cannot.
    pub unfit: Option<String>,
    /// Whether it is a replica, which takes no writes.
    pub replica: bool,
    /// Bytes that it uses.
    pub used: u64,
    /// The most bytes that it may use; `None` without a limit.
    pub most: Option<u64>,
    /// Whether it keeps a log of changes (`appendonly yes`).
    pub log: bool,
}

impl SurveyedServer {
    fn read(info: &str) -> Option<Self> {
        let server = RedisServer::read(info)?;
        let info = InfoDict::new(info);
        let number = |name| info.get::<u64>(name);
        Some(SurveyedServer {
            version: server.version,
            unfit: server.unfit(),
            replica: info.get::<String>("role").as_deref() == Some("slave"),
            used: number("used_memory").unwrap_or_default(),
            most: number("maxmemory").filter(|most| *most > 0),
            log: number("aof_enabled") == Some(1),
        })
    }
}

/// Looks at the Redis at `address`.
///
/// # Errors
/// It cannot be reached, or refuses what every user may ask.
pub async fn survey(address: &Address) -> Result<RedisSurvey, Error> {
    let mut connection = RedisConnection::open(address).await?;
    let mut times = Vec::with_capacity(ASKED);
    for _ in 0..ASKED {
        let begin = Instant::now();
        connection.run(&cmd("PING")).await?;
        times.push(begin.elapsed());
    }
    times.sort();
    let sections = ["server", "memory", "persistence", "replication"];
    let info = texts(&connection.info(&sections).await?);
    let skew = connection.skew().await?;
    let cluster_ok = match address.is_cluster() {
        false => None,
        true => {
            let said = connection.run(cmd("CLUSTER").arg("INFO")).await?;
            Some(
                texts(&said)
                    .iter()
                    .any(|text| text.contains("cluster_state:ok")),
            )
        }
    };
    let key_events = setting(&mut connection, "notify-keyspace-events").await;
    let min_replicas = setting(&mut connection, "min-replicas-to-write").await;
    Ok(RedisSurvey {
        servers: info
            .iter()
            .filter_map(|info| SurveyedServer::read(info))
            .collect(),
        answer: times[ASKED / 2],
        skew,
        cluster_ok,
        key_events,
        min_replicas: min_replicas.and_then(|text| text.parse().ok()),
    })
}

/// A setting of Redis; `None` where it does not say.
async fn setting(connection: &mut RedisConnection, name: &str) -> Option<String> {
    let mut ask = cmd("CONFIG");
    ask.arg("GET").arg(name);
    let said = connection.run(&ask).await.ok()?;
    let pairs: Vec<(String, String)> = match said {
        // Of a cluster each server may have answered.
        Value::Map(pairs) => {
            let first = pairs.into_iter().next()?;
            match first {
                (_, value @ Value::Map(_)) => Vec::from_redis_value(value).ok()?,
                pair => Vec::from_redis_value(Value::Map(vec![pair])).ok()?,
            }
        }
        said => Vec::from_redis_value(said).ok()?,
    };
    pairs.into_iter().next().map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordination::testing::Redis;

    #[tokio::test]
    async fn a_server_is_described() {
        let redis = Redis::with(&["--maxmemory", "64mb", "--appendonly", "yes"]);
        let address = Address::parse(&redis.url()).unwrap();
        let found = survey(&address).await.unwrap();
        let [server] = &found.servers[..] else {
            panic!("{found:?}");
        };
        assert!(server.version.0 >= 7 && server.unfit.is_none() && !server.replica);
        assert!(server.used > 0 && server.most == Some(64 << 20) && server.log);
        assert!(found.cluster_ok.is_none() && found.key_events.is_some());
        assert_eq!(found.min_replicas, Some(0));
    }
}
