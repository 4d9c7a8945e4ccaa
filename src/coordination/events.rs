//! What Redis sends by itself: messages of other instances, and the end of keys.
//!
//! Events of keys are local to the server that held them, and one that stands by today may hold
//! keys tomorrow: so every server has a connection of its own that listens.

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

/// How often is asked which servers there are.
const TOPOLOGY: Duration = Duration::from_secs(5);
/// How often a listening connection shows that it lives.
const PING: Duration = Duration::from_secs(1);
/// How long that may take. A connection that is given up costs what is sent meanwhile.
const PONG: Duration = Duration::from_secs(3);
/// The pause before a connection is tried again.
const AGAIN: Duration = Duration::from_millis(200);
/// How many messages wait for who is slow; what is beyond is made up for by looking.
const WAITING: usize = 4096;
/// What of the keyspace's events is needed (notify-keyspace-events): those of expired keys, under
/// the name of the event.
const FLAGS: [char; 2] = ['E', 'x'];

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Where it was published.
    pub channel: String,
    /// What it says.
    pub payload: String,
}

/// Listens on every server, as long as a clone of it lives.
#[derive(Clone)]
pub struct Events(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    topology: JoinHandle<()>,
}

struct Shared {
    channels: Vec<String>,
    messages: broadcast::Sender<Message>,
    /// Whether some server refuses to send the events of keys.
    refused: AtomicBool,
    /// Asks for a look at the topology.
    changed: Notify,
}

impl Events {
    /// Listens to `channels`, and to the events of expired keys where Redis sends them.
    pub fn listen(link: &Link, mut channels: Vec<String>) -> Self {
        channels.push(expired(link));
        let shared = Arc::new(Shared {
            channels,
            messages: broadcast::Sender::new(WAITING),
            refused: AtomicBool::new(false),
            changed: Notify::new(),
        });
        let topology = tokio::spawn(topology(link.clone(), Arc::clone(&shared)));
        Events(Arc::new(Inner { shared, topology }))
    }

    /// The messages from now on. Some may come twice, and some may be lost.
    pub fn messages(&self) -> broadcast::Receiver<Message> {
        self.0.shared.messages.subscribe()
    }

    /// Whether the events of expired keys are sent.
    pub fn of_keys(&self) -> bool {
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
pub fn expired(link: &Link) -> String {
    format!("__keyevent@{}__:expired", link.address().database())
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.topology.abort();
    }
}

/// Ends a listener with it.
struct Listener(JoinHandle<()>);

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Keeps one listener on every server.
async fn topology(link: Link, shared: Arc<Shared>) {
    let mut listeners: HashMap<String, Listener> = HashMap::new();
    loop {
        match link.nodes().await {
            Ok(nodes) => {
                let mut kept = HashMap::new();
                for node in nodes {
                    let name = node.addr().to_string();
                    let listener = listeners.remove(&name).unwrap_or_else(|| {
                        let shared = Arc::clone(&shared);
                        Listener(tokio::spawn(listen(node, shared)))
                    });
                    kept.insert(name, listener);
                }
                // Those that are left have gone, and end here: after the new ones have begun.
                listeners = kept;
            }
            Err(error) => tracing::debug!(%error, "cannot ask which servers there are"),
        }
        tokio::select! {
            () = tokio::time::sleep(TOPOLOGY) => {}
            () = shared.changed.notified() => tokio::time::sleep(AGAIN).await,
        }
    }
}

/// Listens on one server for ever.
async fn listen(node: ConnectionInfo, shared: Arc<Shared>) {
    loop {
        if let Err(error) = listen_once(&node, &shared).await {
            tracing::debug!(address = %node.addr(), %error, "the connection for events ended");
        }
        shared.changed.notify_one();
        tokio::time::sleep(AGAIN).await;
    }
}

async fn listen_once(node: &ConnectionInfo, shared: &Shared) -> Result<(), Error> {
    let (sender, mut pushed) = mpsc::unbounded_channel::<PushInfo>();
    let client = Client::open(node.clone())?;
    let config = settings()
        .set_response_timeout(Some(PONG))
        .set_push_sender(sender);
    let mut connection = client
        .get_multiplexed_async_connection_with_config(&config)
        .await?;
    connection.subscribe(&shared.channels).await?;
    match allow(&mut connection).await {
        Ok(()) => {}
        // That says nothing about what it would have answered.
        Err(error) if error.is_io_error() || error.is_timeout() => return Err(error),
        Err(error) => {
            if !shared.refused.swap(true, Ordering::Relaxed) {
                tracing::warn!(address = %node.addr(), %error, "Redis does not send the events of expired keys; deadlines are kept without them");
            }
        }
    }
    let mut ping = tokio::time::interval(PING);
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
    let missing: String = FLAGS.into_iter().filter(|flag| !has(*flag)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut set = cmd("CONFIG");
    set.arg("SET").arg(SETTING).arg(flags + &missing);
    set.query_async(connection).await
}

impl Shared {
    fn forward(&self, push: PushInfo) {
        if push.kind != PushKind::Message {
            return;
        }
        let mut texts = push.data.into_iter().map(String::from_redis_value);
        if let (Some(Ok(channel)), Some(Ok(payload))) = (texts.next(), texts.next()) {
            // Nobody need be listening.
            let _ = self.messages.send(Message { channel, payload });
        }
    }
}
