//! Redis: the connections, the servers behind them, and the messages that Redis sends by itself.
//! One server, or a cluster of them.

mod address;
mod connection;
mod events;
mod link;
mod probe;
mod survey;
/// Real servers, for the tests of this module and of its callers.
#[cfg(test)]
#[path = "../../tests/wharf/support/redis.rs"]
#[expect(dead_code, reason = "the tests of the binary use the rest")]
pub(crate) mod testing;

pub use address::{Address, AddressError};
pub use events::{Events, RedisMessage, expired_keys_channel};
pub use link::{ConnectError, Link};
pub use survey::{RedisSurvey, SurveyedServer, survey};

/// Why a command failed, as the client library says it.
pub type Error = redis::RedisError;

/// The keys of one installation, of which several can share a Redis.
#[derive(Debug, Clone)]
pub struct Keys {
    prefix: String,
}

impl Keys {
    /// Keys that begin with `prefix`, which has no braces.
    pub fn new(prefix: &str) -> Self {
        Keys {
            prefix: prefix.to_owned(),
        }
    }

    /// The key `name` among those of `tag`, which lie on one server of a cluster ("hash tags",
    /// Redis cluster specification).
    pub fn tagged(&self, tag: &str, name: &str) -> String {
        format!("{}:{{{tag}}}:{name}", self.prefix)
    }

    /// A key that concerns all instances.
    pub fn lead(&self, name: &str) -> String {
        self.tagged("lead", name)
    }
}
