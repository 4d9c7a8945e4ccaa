//! A lease on a key in Redis. As a rule one instance has it at a time; after a failover of Redis two
//! can. So it only saves work: the manifests decide what is removed.
//!
//! The key is a lock of the classic form, `SET key token NX PX ttl`, which other programs can share.

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

use super::{Claim, Lease};
use crate::coordination::{Error, Events, Link, RedisMessage};
use crate::model::{Clock, Timestamp, Uptime};

/// How long one operation may take.
const OPERATION_TIMEOUT: Duration = Duration::from_millis(400);
/// How long the release may take: the operation under way, then one more.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest pause before a follower tries again.
const MAX_POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Followers try again up to so much later than they could, so that not all try at once.
const MAX_JITTER: Duration = Duration::from_millis(100);
/// The pause after an operation that failed.
const RETRY_DELAY: Duration = Duration::from_millis(200);
/// The holder stops so much before the end of the lease: clocks do not run at the same speed.
const MARGIN: Duration = Duration::from_millis(50);
/// The message that is published when the lock was released.
pub const RELEASED: &str = "released";

/// Acquires the lock, or renews it. Keys: lock, epoch. Arguments: token, milliseconds to live.
/// Answers 1 and the epoch, or 0 and for how long another instance has it (PTTL).
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

/// Renews the lock, if it is ours. Key: lock. Arguments: token, milliseconds to live. Answers 1,
/// or 0 when another instance has it, or 2 when none has.
const RENEW: &str = r"#!lua flags=allow-oom
local holder = redis.call('GET', KEYS[1])
if not holder then return 2 end
if holder ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])";

/// Releases the lock, if it is ours, and publishes that. Key: lock. Arguments: token, channel.
const RELEASE: &str = r"#!lua flags=allow-oom
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('PUBLISH', ARGV[2], 'released')
return 1";

/// The key of the lease, and how long it lasts.
#[derive(Debug, Clone)]
pub struct LeaseOptions {
    /// The key of the lock.
    pub key: String,
    /// How long it lasts without renewal.
    pub ttl: Duration,
    /// The name of this instance.
    pub instance: String,
}

impl LeaseOptions {
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
    options: LeaseOptions,
    epoch_key: String,
    channel: String,
    /// `instance:nonce`, of this process alone.
    token: String,
    claims: watch::Sender<Option<Claim>>,
    messages: broadcast::Receiver<RedisMessage>,
    /// Told to release the lease for good.
    ending: CancellationToken,
    /// Told when that is done.
    ended: CancellationToken,
}

/// Withdraws the claim when the task that keeps the lock ends in any way; then a caller that waits
/// for the release goes on.
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

/// The answer to an attempt to acquire the lock.
enum Tried {
    /// It is ours, with this epoch; it was asked for at this time.
    Acquired(u64, Uptime),
    /// Another instance has it for so long.
    Taken(Duration),
}

impl RedisLease {
    /// A lease that is held once [`keep`](Self::keep) runs. Followers hear on `channel`, one of
    /// those of `events`, that the lock was released.
    ///
    /// # Errors
    /// The operating system has no randomness to give.
    pub fn new(
        link: Link,
        events: &Events,
        channel: String,
        options: LeaseOptions,
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

    /// Acquires the lease and keeps it, until it is released.
    pub async fn keep(&self) {
        let _ended = Ended(self);
        let mut messages = self.messages.resubscribe();
        while !self.ending.is_cancelled() {
            let pause = tokio::select! {
                () = self.ending.cancelled() => break,
                tried = self.acquire() => match tried {
                    Ok(Tried::Acquired(epoch, sent)) => {
                        self.lead(epoch, sent).await;
                        continue;
                    }
                    Ok(Tried::Taken(left)) => left.saturating_add(jitter()).min(MAX_POLL_INTERVAL),
                    Err(error) => {
                        tracing::debug!(%error, "cannot acquire the lease; trying again");
                        RETRY_DELAY
                    }
                },
            };
            tokio::select! {
                () = self.ending.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
                () = self.released(&mut messages) => tracing::debug!("another instance released the lease"),
            }
        }
        self.release_lock().await;
    }

    /// Keeps a claim, last renewed at `renewed`, until it is lost or released.
    async fn lead(&self, epoch: u64, mut renewed: Uptime) {
        tracing::info!(epoch, "acquired lease");
        let acquired_at = Clock::system().now();
        let claim = self.claim(epoch, acquired_at, renewed);
        let left = claim.left().as_millis();
        tracing::trace!(epoch, left, "the claim lasts");
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
                        tracing::info!(epoch, "renewed lease after an error");
                    }
                    let claim = self.claim(epoch, acquired_at, sent);
                    let left = claim.left().as_millis();
                    tracing::trace!(epoch, left, "the claim lasts");
                    self.claims.send_replace(Some(claim));
                    continue;
                }
                Ok(Renewed::Taken) => {
                    tracing::warn!(epoch, "lost lease: held by another instance");
                }
                Ok(Renewed::Gone) => tracing::warn!(epoch, "lost lease: its key is gone"),
                // As long as the lease should last, it may still be renewed.
                Err(error) if renewed.elapsed() < self.options.ttl * 5 / 8 => {
                    tracing::debug!(%error, "cannot renew the lease; trying again");
                    troubled = true;
                    tokio::time::sleep(RETRY_DELAY).await;
                    continue;
                }
                Err(error) => tracing::warn!(epoch, %error, "lost lease: it cannot be renewed"),
            }
            self.claims.send_replace(None);
            return;
        }
    }

    /// The claim that a command gives which was sent at `sent`.
    fn claim(&self, epoch: u64, acquired_at: Timestamp, sent: Uptime) -> Claim {
        let ttl = self.options.ttl;
        let valid = ttl.mul_f64(0.99).saturating_sub(MARGIN);
        Claim {
            holder: self.options.instance.clone(),
            epoch,
            acquired_at,
            valid_until: Some(sent.after(valid)),
        }
    }

    async fn acquire(&self) -> Result<Tried, Error> {
        let keys = [self.options.key.clone(), self.epoch_key.clone()];
        let sent = Uptime::now();
        let (ours, number): (u8, i64) = self.ask(ACQUIRE, &keys, &self.ttl()).await?;
        let number = u64::try_from(number);
        Ok(match (ours, number) {
            (1, epoch) => Tried::Acquired(epoch.unwrap_or(0), sent),
            (_, Ok(left)) => Tried::Taken(Duration::from_millis(left)),
            // It has no end: another program has set it.
            (_, Err(_)) => Tried::Taken(MAX_POLL_INTERVAL),
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

    /// Ends the claim, and the lock if it is ours.
    async fn release_lock(&self) {
        self.claims.send_replace(None);
        let keys = [self.options.key.clone()];
        let args = [self.token.clone(), self.channel.clone()];
        match self.ask::<u8>(RELEASE, &keys, &args).await {
            Ok(1) => tracing::info!("released lease"),
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "lease not released; it expires"),
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
        let answer =
            tokio::time::timeout(OPERATION_TIMEOUT, self.link.eval(script, keys, args)).await;
        answer.map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))?
    }

    /// Returns when another instance has released the lock.
    async fn released(&self, messages: &mut broadcast::Receiver<RedisMessage>) {
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

/// A pause of up to [`MAX_JITTER`].
fn jitter() -> Duration {
    let mut byte = [0];
    // Without randomness all followers try at the same time, and one of them is first.
    let _ = getrandom::fill(&mut byte);
    MAX_JITTER * u32::from(byte[0]) / 255
}

#[async_trait]
impl Lease for RedisLease {
    fn claims(&self) -> watch::Receiver<Option<Claim>> {
        self.claims.subscribe()
    }

    async fn release(&self) {
        self.ending.cancel();
        // Every step of the keeper has its own bound; this bound holds even if the keeper has died.
        if tokio::time::timeout(RELEASE_TIMEOUT, self.ended.cancelled())
            .await
            .is_err()
        {
            tracing::error!("lease not released: its task does not end; it expires");
        }
    }
}

#[cfg(test)]
mod tests;
