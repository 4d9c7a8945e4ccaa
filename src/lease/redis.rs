//! A lease on a key in Redis, which at most one instance has at a time, as a rule: a server that
//! fails over can have two believe in it. So it only saves work; what is removed is decided at
//! the manifests.
//!
//! The key is a lock of the classic form, `SET key token NX PX ttl`: other programs that use the
//! same key are excluded, and exclude us.

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

use super::{Claim, Lease};
use crate::coordination::{Error, Events, Link, Message};
use crate::model::Uptime;

/// How long one operation may take.
const PATIENCE: Duration = Duration::from_millis(400);
/// How long the release may take: the step under way, then one more.
const RELEASING: Duration = Duration::from_secs(2);
/// How often followers try, whatever they were told.
const BACKSTOP: Duration = Duration::from_secs(1);
/// Followers try again up to so much later than they could, so that not all try at once.
const JITTER: Duration = Duration::from_millis(100);
/// The pause after an operation that failed.
const AGAIN: Duration = Duration::from_millis(200);
/// What the holder takes off its own reckoning: clocks do not run quite alike.
const MARGIN: Duration = Duration::from_millis(50);
/// What is published when the lock was given back.
pub const RELEASED: &str = "released";

/// Takes the lock, or prolongs it. Keys: lock, epoch. Arguments: token, milliseconds to live.
/// Answers 1 and the epoch, or 0 and for how long another has it (PTTL).
const ACQUIRE: &str = r"#!lua flags=allow-oom
local holder = redis.call('GET', KEYS[1])
if holder == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return {1, tonumber(redis.call('GET', KEYS[2]) or '0')}
end
if holder then return {0, redis.call('PTTL', KEYS[1])} end
local time = redis.call('TIME')
local last = tonumber(redis.call('GET', KEYS[2]) or '0')
local epoch = math.max(last + 1, time[1] * 1000 + math.floor(time[2] / 1000))
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('SET', KEYS[2], string.format('%.0f', epoch))
return {1, epoch}";

/// Prolongs the lock, if it is ours. Key: lock. Arguments: token, milliseconds to live. Answers 1,
/// or 0 when another instance has it, or 2 when none has.
const RENEW: &str = r"#!lua flags=allow-oom
local holder = redis.call('GET', KEYS[1])
if not holder then return 2 end
if holder ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])";

/// Gives the lock back, if it is ours, and says so. Key: lock. Arguments: token, channel.
const RELEASE: &str = r"#!lua flags=allow-oom
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('PUBLISH', ARGV[2], 'released')
return 1";

/// Where the lease is, and how long it lasts.
#[derive(Debug, Clone)]
pub struct Options {
    /// The key of the lock.
    pub key: String,
    /// How long it lasts without renewal.
    pub ttl: Duration,
    /// The name of this instance.
    pub instance: String,
}

impl Options {
    /// The key of the last epoch, on the same server of a cluster as the lock's.
    fn epoch_key(&self) -> String {
        let tag = self
            .key
            .split_once('{')
            .and_then(|(_, rest)| rest.split_once('}'));
        match tag {
            Some((tag, _)) if !tag.is_empty() => match self.key.strip_suffix(":lock") {
                Some(prefix) => format!("{prefix}:epoch"),
                None => format!("{{{tag}}}:epoch"),
            },
            _ => format!("{{{}}}:epoch", self.key),
        }
    }
}

/// A lease on a key in Redis.
pub struct RedisLease {
    link: Link,
    options: Options,
    epoch_key: String,
    channel: String,
    /// `instance:nonce`, of this process alone.
    token: String,
    claims: watch::Sender<Option<Claim>>,
    messages: broadcast::Receiver<Message>,
    /// Told to give the lease up for good.
    ending: CancellationToken,
    /// Told when that is done.
    ended: CancellationToken,
}

/// However the task that keeps the lock ends, its claim is withdrawn, and a caller that waits for
/// the release goes on.
struct Ended<'a>(&'a RedisLease);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.claims.send_replace(None);
        self.0.ended.cancel();
    }
}

/// The answer to a renewal.
enum Renewed {
    /// It is ours for longer.
    Kept,
    /// Another instance has it.
    Taken,
    /// No instance has it: Redis has lost the key, or the renewal came too late.
    Gone,
}

/// The answer to a try.
enum Tried {
    /// It is ours, and was asked for at this time.
    Ours(u64, Uptime),
    /// Another has it for so long.
    Held(Duration),
}

impl RedisLease {
    /// A lease that is held once [`keep`](Self::keep) runs. Followers hear on `channel`, one of
    /// those of `events`, that the lock was given back.
    ///
    /// # Errors
    /// The operating system has no randomness to give.
    pub fn new(
        link: Link,
        events: &Events,
        channel: String,
        options: Options,
    ) -> Result<Self, getrandom::Error> {
        let mut nonce = [0; 8];
        getrandom::fill(&mut nonce)?;
        let nonce = u64::from_le_bytes(nonce);
        Ok(RedisLease {
            token: format!("{}:{nonce:016x}", options.instance),
            epoch_key: options.epoch_key(),
            link,
            options,
            channel,
            claims: watch::Sender::new(None),
            messages: events.messages(),
            ending: CancellationToken::new(),
            ended: CancellationToken::new(),
        })
    }

    /// Tries for the lease and keeps it, until it is released.
    pub async fn keep(&self) {
        let _ended = Ended(self);
        let mut messages = self.messages.resubscribe();
        while !self.ending.is_cancelled() {
            let pause = tokio::select! {
                () = self.ending.cancelled() => break,
                tried = self.acquire() => match tried {
                    Ok(Tried::Ours(epoch, sent)) => {
                        self.lead(epoch, sent).await;
                        continue;
                    }
                    Ok(Tried::Held(left)) => left.saturating_add(jitter()).min(BACKSTOP),
                    Err(error) => {
                        tracing::debug!(%error, "cannot try for the lease");
                        AGAIN
                    }
                },
            };
            tokio::select! {
                () = self.ending.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
                () = self.released(&mut messages) => tracing::debug!("another instance released the lease"),
            }
        }
        self.give_back().await;
    }

    /// Keeps a claim, last renewed at `renewed`, until it is lost or given up.
    async fn lead(&self, epoch: u64, mut renewed: Uptime) {
        tracing::info!(epoch, "acquired lease: this instance cleans up now");
        let claim = self.claim(epoch, renewed);
        let left = claim.left().as_millis();
        tracing::trace!(epoch, left, "the lease is taken");
        self.claims.send_replace(Some(claim));
        let mut troubled = false;
        loop {
            let pause = (self.options.ttl / 4).saturating_sub(renewed.elapsed());
            tokio::select! {
                () = self.ending.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            let sent = Uptime::now();
            let kept = tokio::select! {
                () = self.ending.cancelled() => return,
                kept = self.renew() => kept,
            };
            match kept {
                Ok(Renewed::Kept) => {
                    renewed = sent;
                    if std::mem::take(&mut troubled) {
                        tracing::info!(epoch, "renewed lease after all");
                    }
                    let claim = self.claim(epoch, sent);
                    let left = claim.left().as_millis();
                    tracing::trace!(epoch, left, "the lease is prolonged");
                    self.claims.send_replace(Some(claim));
                    continue;
                }
                Ok(Renewed::Taken) => {
                    tracing::warn!(epoch, "lost lease: held by another instance");
                }
                Ok(Renewed::Gone) => tracing::warn!(epoch, "lost lease: its key is gone"),
                // While it is still ours by our reckoning it may yet be prolonged.
                Err(error) if renewed.elapsed() < self.options.ttl * 5 / 8 => {
                    tracing::debug!(%error, "cannot prolong the lease");
                    troubled = true;
                    tokio::time::sleep(AGAIN).await;
                    continue;
                }
                Err(error) => tracing::warn!(epoch, %error, "lost lease: it cannot be renewed"),
            }
            self.claims.send_replace(None);
            return;
        }
    }

    /// What is ours for having been sent at `sent`.
    fn claim(&self, epoch: u64, sent: Uptime) -> Claim {
        let ttl = self.options.ttl;
        let valid = ttl.mul_f64(0.99).saturating_sub(MARGIN);
        Claim {
            holder: self.options.instance.clone(),
            epoch,
            valid_until: Some(sent.after(valid)),
        }
    }

    async fn acquire(&self) -> Result<Tried, Error> {
        let keys = [self.options.key.clone(), self.epoch_key.clone()];
        let sent = Uptime::now();
        let (ours, number): (u8, i64) = self.ask(ACQUIRE, &keys, &self.ttl()).await?;
        let number = u64::try_from(number);
        Ok(match (ours, number) {
            (1, epoch) => Tried::Ours(epoch.unwrap_or(0), sent),
            (_, Ok(left)) => Tried::Held(Duration::from_millis(left)),
            // It has no end: somebody else's idea of a lock.
            (_, Err(_)) => Tried::Held(BACKSTOP),
        })
    }

    async fn renew(&self) -> Result<Renewed, Error> {
        let keys = [self.options.key.clone()];
        let answer: u8 = self.ask(RENEW, &keys, &self.ttl()).await?;
        Ok(match answer {
            1 => Renewed::Kept,
            2 => Renewed::Gone,
            _ => Renewed::Taken,
        })
    }

    /// Ends our claim, and the lock if it is ours.
    async fn give_back(&self) {
        self.claims.send_replace(None);
        let keys = [self.options.key.clone()];
        let args = [self.token.clone(), self.channel.clone()];
        match self.ask::<u8>(RELEASE, &keys, &args).await {
            Ok(1) => tracing::info!("released lease"),
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "cannot release the lease; it ends by itself"),
        }
    }

    fn ttl(&self) -> [String; 2] {
        [self.token.clone(), self.options.ttl.as_millis().to_string()]
    }

    async fn ask<T: redis::FromRedisValue>(
        &self,
        script: &str,
        keys: &[String],
        args: &[String; 2],
    ) -> Result<T, Error> {
        let answer = tokio::time::timeout(PATIENCE, self.link.eval(script, keys, args)).await;
        answer.map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))?
    }

    /// Returns when another has given the lock back.
    async fn released(&self, messages: &mut broadcast::Receiver<Message>) {
        loop {
            match messages.recv().await {
                Ok(message) if message.channel == self.channel && message.payload == RELEASED => {
                    return;
                }
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}

/// A pause of up to [`JITTER`].
fn jitter() -> Duration {
    let mut byte = [0];
    // Without randomness all try at the same time, and one of them is first.
    let _ = getrandom::fill(&mut byte);
    JITTER * u32::from(byte[0]) / 255
}

#[async_trait]
impl Lease for RedisLease {
    fn claims(&self) -> watch::Receiver<Option<Claim>> {
        self.claims.subscribe()
    }

    async fn release(&self) {
        self.ending.cancel();
        // Every step of the keeper has its own bound; this bound holds even if the keeper has died.
        if tokio::time::timeout(RELEASING, self.ended.cancelled())
            .await
            .is_err()
        {
            tracing::error!("the task that keeps the lease does not end; the lease ends by itself");
        }
    }
}

#[cfg(test)]
mod tests;
