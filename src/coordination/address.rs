//! Where Redis is, as the setting `redis` says it.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use redis::{ConnectionInfo, IntoConnectionInfo as _, ProtocolVersion};

/// One server, or some of a cluster, from which the others are learned.
#[derive(Clone)]
pub struct Address {
    pub(super) nodes: Vec<ConnectionInfo>,
    pub(super) cluster: bool,
}

/// A text that is no address of Redis. It does not repeat the text, which may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// The scheme is none of ours.
    #[error(
        "an address of Redis begins with redis://, rediss://, redis-cluster:// or rediss-cluster://"
    )]
    Scheme,
    /// The rest cannot be understood.
    #[error("the address of Redis cannot be understood: {0}")]
    Url(String),
}

impl Address {
    /// Whether keys may lie on several servers.
    pub fn is_cluster(&self) -> bool {
        self.cluster
    }

    /// Reads `redis://host:port/db`, `rediss://…`, or `redis-cluster://host:port,host:port`, each
    /// with `user:password@` before the first host where one is needed.
    ///
    /// # Errors
    /// It is no such address.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let (scheme, rest) = text.split_once("://").ok_or(AddressError::Scheme)?;
        let (scheme, cluster) = match scheme {
            "redis" | "rediss" => (scheme, false),
            "redis-cluster" => ("redis", true),
            "rediss-cluster" => ("rediss", true),
            _ => return Err(AddressError::Scheme),
        };
        let (credentials, hosts) = match rest.rsplit_once('@') {
            Some((credentials, hosts)) => (format!("{}@", encoded(credentials)), hosts),
            None => (String::new(), rest),
        };
        let hosts: Vec<&str> = match cluster {
            true => hosts.split(',').collect(),
            false => vec![hosts],
        };
        let nodes = hosts.into_iter().map(|host| {
            let info = format!("{scheme}://{credentials}{host}").into_connection_info();
            let info = info.map_err(|error| AddressError::Url(error.to_string()))?;
            // RESP3 brings messages on the connection of the commands.
            let settings = info.redis_settings().clone();
            Ok(info.set_redis_settings(settings.set_protocol(ProtocolVersion::RESP3)))
        });
        let nodes = nodes.collect::<Result<Vec<ConnectionInfo>, AddressError>>()?;
        if cluster && nodes.iter().any(|node| node.redis_settings().db() != 0) {
            let reason = "a cluster has no numbered databases".to_owned();
            return Err(AddressError::Url(reason));
        }
        Ok(Address { nodes, cluster })
    }

    /// The number of the database.
    pub fn database(&self) -> i64 {
        self.nodes
            .first()
            .map_or(0, |node| node.redis_settings().db())
    }
}

/// User and password as a URL has them: characters that are not percent-encoded yet are encoded.
/// A password with a `/` or `@` would be read as the host otherwise, and be shown.
fn encoded(credentials: &str) -> String {
    let (user, password) = match credentials.split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None => (credentials, None),
    };
    let mut encoded = encode(user);
    if let Some(password) = password {
        encoded = format!("{encoded}:{}", encode(password));
    }
    encoded
}

/// `unreserved` of RFC 3986 section 2.3: the characters that stand for themselves.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

fn encode(text: &str) -> String {
    let bytes: Vec<u8> = percent_decode_str(text).collect();
    percent_encode(&bytes, UNRESERVED).to_string()
}

impl fmt::Display for Address {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, node) in self.nodes.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            write!(f, "{comma}{}", node.addr())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_without_their_secrets() {
        for (text, shown) in [
            ("redis://127.0.0.1:7000/3", "127.0.0.1:7000"),
            ("rediss://me:s3cret@cache.example", "cache.example:6379"),
            ("redis-cluster://:s3cret@a:1,b:2,c:3", "a:1,b:2,c:3"),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!(address.to_string(), shown);
            assert_eq!(address.cluster, text.contains("cluster"));
            assert!(!format!("{address:?}").contains("s3cret"));
        }
        assert_eq!(Address::parse("redis://a/3").unwrap().database(), 3);
        for (text, password) in [
            ("redis://:s3/c#r?e%t@a:1", "s3/c#r?e%t"),
            ("redis://me:12/34@56@a:1", "12/34@56"),
            ("redis://me:s3%2Fcret@a:1", "s3/cret"),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!(address.to_string(), "a:1");
            assert_eq!(address.nodes[0].redis_settings().password(), Some(password));
        }
        for text in [
            "",
            "localhost:6379",
            "http://a",
            "redis-cluster://a:1/2",
            "redis://a:s3cret@:x",
        ] {
            let error = Address::parse(text).unwrap_err().to_string();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
