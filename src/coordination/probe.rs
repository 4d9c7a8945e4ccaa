//! The answer of a server to INFO.

use redis::{InfoDict, Value};

/// A server, as it describes itself (INFO).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisServer {
    /// Another after every restart.
    pub run_id: String,
    /// Major and minor version.
    pub version: (u32, u32),
    /// Its policy when its memory is full.
    pub eviction: String,
}

impl RedisServer {
    /// Reads the sections `server` and `memory`.
    pub fn read(info: &str) -> Option<Self> {
        let info = InfoDict::new(info);
        let version: String = info.get("redis_version")?;
        let mut numbers = version.split('.').map(str::parse);
        let mut number = || numbers.next()?.ok();
        Some(RedisServer {
            run_id: info.get("run_id")?,
            version: (number()?, number()?),
            eviction: info.get("maxmemory_policy").unwrap_or_default(),
        })
    }

    /// Why it cannot be used, if it cannot.
    pub fn unfit(&self) -> Option<String> {
        let (major, minor) = self.version;
        if major < 7 {
            return Some(format!("it is version {major}.{minor}, and 7.0 is needed"));
        }
        match self.eviction.as_str() {
            "" | "noeviction" => None,
            policy => Some(format!(
                "its maxmemory-policy is {policy}: it would drop keys that wharf needs; set it to noeviction"
            )),
        }
    }
}

/// The servers that a value from one server, or from each of a cluster, describes.
pub fn servers(value: &Value) -> Vec<RedisServer> {
    texts(value)
        .iter()
        .filter_map(|text| RedisServer::read(text))
        .collect()
}

/// The texts in a value from one server, or from each of a cluster.
pub fn texts(value: &Value) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(text.clone()),
        _ => None,
    };
    match value {
        Value::Map(pairs) => pairs.iter().filter_map(|(_, value)| text(value)).collect(),
        Value::Array(pairs) => pairs
            .iter()
            .filter_map(|pair| match pair {
                Value::Array(pair) => text(pair.last()?),
                value => text(value),
            })
            .collect(),
        value => text(value).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unfit_server_is_refused_with_the_reason() {
        let info = |version: &str, policy: &str| {
            format!(
                "# RedisServer\r\nredis_version:{version}\r\nrun_id:ab12\r\nmaxmemory_policy:{policy}\r\n"
            )
        };
        let server = |version, policy| RedisServer::read(&info(version, policy)).unwrap();
        assert_eq!(server("7.0.15", "noeviction").unfit(), None);
        assert_eq!(server("7.0.15", "noeviction").run_id, "ab12");
        let old = server("6.2.7", "noeviction").unfit().unwrap();
        assert!(old.contains("6.2") && old.contains("7.0"));
        let evicting = server("8.0.0", "allkeys-lru").unfit().unwrap();
        assert!(evicting.contains("allkeys-lru"));
    }
}
