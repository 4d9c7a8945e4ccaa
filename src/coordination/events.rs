//! Messages that Redis sends by itself: those of other instances, and the events of expired keys.
//!
//! A server sends the events of its own keys alone, and a replica may become a master: so there is
//! a listening connection to every server.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Client, ConnectionInfo, FromRedisValue as _, PushInfo, PushKind, cmd};
use tokio::sync::{Notify, broadcast, mpsc};
use tokio::task::JoinHandle;

use crate::coordination::connection::settings;
use crate::coordination::{Error, Link};

/// How often Redis is asked which servers there are.
const TOPOLOGY_INTERVAL: Duration = Duration::from_secs(5);
/// How often a listening connection is tried with a PING.
const PING_INTERVAL: Duration = Duration::from_secs(1);
/// How long the answer may take. Messages that are sent while a new connection is made are lost.
const PONG_TIMEOUT: Duration = Duration::from_secs(3);
/// The pause before a connection is tried again.
const RETRY_DELAY: Duration = Duration::from_millis(200);
/// How many messages wait for a slow receiver; older ones are lost, and the receivers poll as well.
const MAX_QUEUED: usize = 4096;
/// The events that are needed (notify-keyspace-events): those of expired keys, under the name of the
/// event.
const KEY_EVENT_FLAGS: [char; 2] = ['E', 'x'];

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisMessage {
    /// The channel it was published on.
    pub channel: String,
    /// Its content.
    pub payload: String,
}

/// Listens on every server, as long as a clone of this lives.
#[derive(Clone)]
pub struct Events(Arc<EventsInner>);

struct EventsInner {
    shared: Arc<EventsState>,
    topology: JoinHandle<()>,
}

struct EventsState {
    channels: Vec<String>,
    messages: broadcast::Sender<RedisMessage>,
    /// Whether some server refuses to send the events of keys.
    refused: AtomicBool,
    /// Wakes the task that asks for the topology.
    changed: Notify,
}

impl Events {
    /// Listens to `channels`, and to the events of expired keys where Redis sends them.
    pub fn listen(link: &Link, mut channels: Vec<String>) -> Self {
        channels.push(expired_keys_channel(link));
        let shared = Arc::new(EventsState {
            channels,
            messages: broadcast::Sender::new(MAX_QUEUED),
            refused: AtomicBool::new(false),
            changed: Notify::new(),
        });
        let topology = tokio::spawn(topology(link.clone(), Arc::clone(&shared)));
        Events(Arc::new(EventsInner { shared, topology }))
    }

    /// The messages from now on. Some may come twice, and some may be lost.
    pub fn messages(&self) -> broadcast::Receiver<RedisMessage> {
        self.0.shared.messages.subscribe()
    }

    /// Whether the events of expired keys are sent.
    pub fn has_key_events(&self) -> bool {
        !self.0.shared.refused.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
impl Events {
    /// As if a server had refused to send the events of keys.
    pub fn refuse(&self) {
        self.0.shared.refused.store(true, Ordering::Relaxed);
    }
}

/// The channel of expired keys of the database of `link`.
pub fn expired_keys_channel(link: &Link) -> String {
    format!("__keyevent@{}__:expired", link.address().database())
}

impl Drop for EventsInner {
    fn drop(&mut self) {
        self.topology.abort();
    }
}

/// A task that listens on one server, and ends when this is dropped.
struct ListenerTask(JoinHandle<()>);

impl Drop for ListenerTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Keeps one listener on every server.
async fn topology(link: Link, shared: Arc<EventsState>) {
    let mut listeners: HashMap<String, ListenerTask> = HashMap::new();
    loop {
        match link.nodes().await {
            Ok(nodes) => {
                let mut kept = HashMap::new();
                for node in nodes {
                    let name = node.addr().to_string();
                    let listener = listeners.remove(&name).unwrap_or_else(|| {
                        let shared = Arc::clone(&shared);
                        ListenerTask(tokio::spawn(listen(node, shared)))
                    });
                    kept.insert(name, listener);
                }
                // The listeners of servers that are gone end here, after the new ones have begun.
                listeners = kept;
            }
            Err(error) => tracing::debug!(%error, "cannot ask Redis which servers there are"),
        }
        tokio::select! {
            () = tokio::time::sleep(TOPOLOGY_INTERVAL) => {}
            () = shared.changed.notified() => tokio::time::sleep(RETRY_DELAY).await,
        }
    }
}

/// Listens on one server for ever.
async fn listen(node: ConnectionInfo, shared: Arc<EventsState>) {
    loop {
        if let Err(error) = listen_once(&node, &shared).await {
            tracing::debug!(address = %node.addr(), %error, "the connection for events ended");
        }
        shared.changed.notify_one();
        tokio::time::sleep(RETRY_DELAY).await;
    }
}

async fn listen_once(node: &ConnectionInfo, shared: &EventsState) -> Result<(), Error> {
    let (sender, mut pushed) = mpsc::unbounded_channel::<PushInfo>();
    let client = Client::open(node.clone())?;
    let config = settings()
        .set_response_timeout(Some(PONG_TIMEOUT))
        .set_push_sender(sender);
    let mut connection = client
        .get_multiplexed_async_connection_with_config(&config)
        .await?;
    connection.subscribe(&shared.channels).await?;
    match allow(&mut connection).await {
        Ok(()) => {}
        // The server may allow it later.
        Err(error) if error.is_io_error() || error.is_timeout() => return Err(error),
        Err(error) => {
            if !shared.refused.swap(true, Ordering::Relaxed) {
                tracing::warn!(address = %node.addr(), %error, "Redis does not send the events of expired keys; deadlines are kept without them");
            }
        }
    }
    let mut ping = tokio::time::interval(PING_INTERVAL);
    loop {
        tokio::select! {
            push = pushed.recv() => match push {
                None => return Ok(()),
                Some(push) if push.kind == PushKind::Disconnection => return Ok(()),
                Some(push) => shared.forward(push),
            },
            _ = ping.tick() => {
                let pong: redis::Value = cmd("PING").query_async(&mut connection).await?;
                drop(pong);
            }
        }
    }
}

/// Has a server send the events of expired keys, beside those it sends already.
async fn allow(connection: &mut MultiplexedConnection) -> Result<(), Error> {
    const SETTING: &str = "notify-keyspace-events";
    let mut get = cmd("CONFIG");
    get.arg("GET").arg(SETTING);
    let found: HashMap<String, String> = get.query_async(connection).await?;
    let flags = found.get(SETTING).cloned().unwrap_or_default();
    // `A` stands for all events that there are.
    let has = |flag| flags.contains(flag) || (flag == 'x' && flags.contains('A'));
    let missing: String = KEY_EVENT_FLAGS
        .into_iter()
        .filter(|flag| !has(*flag))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut set = cmd("CONFIG");
    set.arg("SET").arg(SETTING).arg(flags + &missing);
    set.query_async(connection).await
}

impl EventsState {
    fn forward(&self, push: PushInfo) {
        if push.kind != PushKind::Message {
            return;
        }
        let mut texts = push.data.into_iter().map(String::from_redis_value);
        if let (Some(Ok(channel)), Some(Ok(payload))) = (texts.next(), texts.next()) {
            // There may be no receiver.
            let _ = self.messages.send(RedisMessage { channel, payload });
        }
    }
}
