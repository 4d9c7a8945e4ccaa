//! The composition root: the parts of the server, and how they begin and end.

mod backends;
mod descriptors;
mod error;
mod options;
mod renewal;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::delivery::Delivery;
use crate::expiry::{self, Expiry};
use crate::http;
use crate::http::rules::locality::Listening;
use crate::http::server::{Listener, Pulse, Server, Workers};
use crate::ingest::Ingest;
use crate::lease::Lease;
use crate::manage::Manage;
use crate::model::Clock;
use crate::operate::Operate;
use crate::reconcile::{self, Compared, Reconciler};
use crate::repository::Repository;
use crate::shutdown::Shutdown;
use crate::store::{BucketStore, DiskStore, Store};
use crate::supervise::Supervisor;
use backends::{Backends, Purpose, Task};

pub use descriptors::room as descriptors_room;
pub use error::StartError;
pub use options::{AppOptions, Sharing};
pub use renewal::Renewal;
use renewal::{Fronts, renew};

/// How long connections wait at the start for the comparison of index and store.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the background tasks may take to notice that the server ends; then they are cut off.
/// That does no harm: the repository runs the changes of uploads.
const TASKS_TIMEOUT: Duration = Duration::from_secs(5);
/// How long changes of store and index that were begun may still take when the server ends. It is
/// longer than a slow disk needs, and a store that hangs does not keep the process alive.
const CHANGES_TIMEOUT: Duration = Duration::from_secs(30);
/// The most connections to the addresses of `admin_listen`: probes and collectors of counters.
const ADMIN_CONNECTIONS: usize = 64;

/// A server, ready to run.
pub struct App {
    options: AppOptions,
    repository: Repository,
    lease: Arc<dyn Lease>,
    trouble: watch::Receiver<Option<String>>,
    /// Work beside the requests that must not end before the server does.
    tasks: Vec<Task>,
    /// Whether other processes may have the store too.
    shared: bool,
    clock: Clock,
    /// The sockets for operators alone.
    admin: Vec<Listener>,
    supervisor: Supervisor,
    /// Settings that were read anew.
    renewals: Option<mpsc::Receiver<Renewal>>,
    /// See [`Backends::lock`].
    _lock: Option<File>,
}

/// Puts a server together.
///
/// # Errors
/// The store or the index cannot be opened.
pub async fn build(options: AppOptions) -> Result<App, StartError> {
    let clock = Clock::system();
    let descriptors = descriptors::for_files(options.max_connections);
    let backends = Backends::open(&options, &clock, descriptors, Purpose::Serve).await?;
    let shared = backends.shared;
    let repository = Repository::new(backends.store, backends.catalog, clock.clone(), shared);
    repository.doubt(backends.doubt);
    Ok(App {
        repository,
        lease: backends.lease,
        trouble: backends.trouble,
        tasks: backends.tasks,
        _lock: backends.lock,
        shared,
        options,
        clock,
        admin: Vec::new(),
        supervisor: Supervisor::default(),
        renewals: None,
    })
}

/// Opens a store to be looked at, beside the servers it may have.
///
/// # Errors
/// It cannot be opened.
pub fn inspect(options: &AppOptions) -> Result<Arc<dyn Store>, StartError> {
    Ok(match &options.bucket {
        Some(bucket) => Arc::new(BucketStore::inspect(bucket)?),
        None => Arc::new(DiskStore::inspect(&options.dir)?),
    })
}

/// A store and its index, without a server.
pub struct OpenedStore {
    /// Both.
    pub repository: Repository,
    /// See [`Backends::lock`].
    _lock: Option<File>,
}

/// Opens a store and its index to have them changed while no server runs, or, where they are
/// shared, beside the servers. `descriptors` files may be open for uploads into it.
/// [`Repository::close`] is to end it.
///
/// # Errors
/// A server has them for itself, or they cannot be opened.
pub async fn open(options: &AppOptions, descriptors: usize) -> Result<OpenedStore, StartError> {
    let clock = Clock::system();
    let backends = Backends::open(options, &clock, descriptors, Purpose::Serve).await?;
    let shared = backends.shared;
    let repository = Repository::new(backends.store, backends.catalog, clock, shared);
    Ok(OpenedStore {
        repository,
        _lock: backends.lock,
    })
}

/// Makes the index of a store anew: an embedded one while no server runs, one in Redis at any time.
/// A folder must be there. With `adopt`, store and Redis are taken to belong together from now on.
///
/// # Errors
/// The store or the index cannot be opened, or one of them fails.
pub async fn reindex(options: &AppOptions, adopt: bool) -> Result<Compared, StartError> {
    if options.bucket.is_none() {
        DiskStore::find(&options.dir)?;
    }
    let clock = Clock::system();
    let backends = Backends::open(options, &clock, 0, Purpose::Reindex { adopt }).await?;
    let shared = backends.shared;
    let repository = Repository::new(backends.store, backends.catalog, clock, shared);
    let compared = reconcile::compare(&repository, &CancellationToken::new()).await?;
    repository.close(CHANGES_TIMEOUT).await?;
    Ok(compared.unwrap_or_default())
}

impl App {
    /// Answers operators on these sockets, without a secret: probes, status and counters.
    #[must_use]
    pub fn with_admin(mut self, listeners: Vec<Listener>) -> Self {
        self.admin = listeners;
        self
    }

    /// Takes over what can change of settings that come by here: see [`AppOptions::renewed`].
    #[must_use]
    pub fn with_renewals(mut self, renewals: mpsc::Receiver<Renewal>) -> Self {
        self.renewals = Some(renewals);
        self
    }

    /// Tells this one how the server is.
    #[must_use]
    pub fn with_supervisor(mut self, supervisor: Supervisor) -> Self {
        self.supervisor = supervisor;
        self
    }

    /// Serves until `shutdown`, or until a part that must run has ended; then lets requests under
    /// way finish for the grace, and closes everything.
    ///
    /// # Errors
    /// A listener failed, or a task that must run has ended.
    pub async fn run(mut self, listeners: Vec<Listener>, shutdown: Shutdown) -> io::Result<()> {
        let connections = TaskTracker::new();
        let counted = expiry::ExpiryMetrics::default();
        let delivery = Delivery::new(self.repository.clone(), self.clock.clone());
        let http = self.http(&shutdown, counted.clone(), delivery.clone());
        let workers = Arc::new(Workers::start()?);
        let pulse = Pulse::default();
        let admin = std::mem::take(&mut self.admin);
        let server = |front, most| {
            Server::new(
                front,
                most,
                connections.clone(),
                (shutdown.stop.clone(), shutdown.abort.clone()),
                pulse.clone(),
            )
        };
        let fronts = Fronts::new(http.clone(), (listening(&listeners)?, listening(&admin)?));
        let most = descriptors::for_connections(self.options.max_connections);
        let clients = server(Arc::clone(&fronts.clients), most);
        let operators = server(Arc::clone(&fronts.operators), ADMIN_CONNECTIONS);
        if self.options.ingest.max_total_size.is_some() {
            reconcile::recall_total(&self.repository).await;
        }
        let mut tasks = JoinSet::new();
        self.spawn_tasks(&mut tasks, &shutdown, counted, delivery);
        // Until the index is complete names do not resolve: a small store is compared before
        // the first client is let in.
        let _ = tokio::time::timeout(SETTLE_TIMEOUT, self.settled()).await;
        let clients = listeners.into_iter().map(|listener| (&clients, listener));
        let operators = admin.into_iter().map(|listener| (&operators, listener));
        for (server, listener) in clients.chain(operators) {
            tasks.spawn(server.clone().accept(listener, Arc::clone(&workers)));
        }
        self.supervisor.ready();
        let options = Arc::new(Mutex::new(self.options.clone()));
        tasks.spawn(renew(
            self.renewals.take(),
            fronts,
            Arc::clone(&options),
            (self.repository.clone(), self.clock.clone()),
            shutdown.stop.clone(),
        ));
        tasks.spawn(keep_watchdog(
            self.supervisor.clone(),
            (pulse.clone(), Arc::clone(&workers)),
            shutdown.stop.clone(),
        ));
        let ended = watch(&mut tasks, &shutdown).await;
        self.supervisor.stopping();
        http.drain();
        self.lease.release().await;
        connections.close();
        let grace = options
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .shutdown_grace;
        if tokio::time::timeout(grace, connections.wait())
            .await
            .is_err()
        {
            tracing::warn!("transfers are cut off after shutdown_grace");
            shutdown.abort.cancel();
            // The changes that they have begun go on as tasks of the repository.
            let cut = tokio::time::timeout(TASKS_TIMEOUT, connections.wait()).await;
            if cut.is_err() {
                tracing::error!(
                    "a connection does not end although it was cut off; the server ends without it"
                );
            }
        }
        end(tasks).await;
        // The index is closed when no change is under way any more that it would miss.
        if let Err(error) = self.repository.close(CHANGES_TIMEOUT).await {
            tracing::error!(%error, "the index was not closed cleanly; the next start compares it");
        }
        ended
    }

    fn http(
        &self,
        shutdown: &Shutdown,
        counted: expiry::ExpiryMetrics,
        delivery: Delivery,
    ) -> http::AppState {
        let uploads = self.repository.clone();
        let ingest = Ingest::new(
            uploads.clone(),
            self.clock.clone(),
            self.options.ingest.clone(),
        );
        http::AppState::new(http::StateParts {
            ingest,
            delivery,
            manage: Manage::new(uploads.clone(), self.clock.clone()),
            operate: Operate::new(uploads, self.trouble.clone(), self.lease.claims()),
            expiry: counted,
            clock: self.clock.clone(),
            options: self.options.http.clone(),
            abort: shutdown.abort.clone(),
        })
    }

    /// Starts what runs beside the requests.
    fn spawn_tasks(
        &mut self,
        tasks: &mut JoinSet<io::Result<()>>,
        shutdown: &Shutdown,
        counted: expiry::ExpiryMetrics,
        delivery: Delivery,
    ) {
        for task in std::mem::take(&mut self.tasks) {
            tasks.spawn(task(shutdown.stop.clone()));
        }
        let stop = || shutdown.stop.clone();
        let options = reconcile::ReconcileOptions {
            stale_after: self.options.stale_after,
            alone: !self.shared,
            capped: self.options.ingest.max_total_size.is_some(),
        };
        let (uploads, claims) = (self.repository.clone(), self.lease.claims());
        let trouble = self.trouble.clone();
        let reconciler = Reconciler::new(uploads, claims, trouble, self.clock.clone(), options);
        let stopped = stop();
        tasks.spawn(async move {
            reconciler.run(stopped).await;
            Ok(())
        });
        let (uploads, claims) = (self.repository.clone(), self.lease.claims());
        let cleaner = Expiry::new(uploads, claims, self.clock.clone(), options.alone, counted);
        let stopped = stop();
        tasks.spawn(async move {
            cleaner.run(stopped).await;
            Ok(())
        });
        let (uploads, stopped) = (self.repository.clone(), stop());
        tasks.spawn(async move {
            uploads.run_backlog(stopped).await;
            Ok(())
        });
        let (uploads, stopped) = (self.repository.clone(), stop());
        tasks.spawn(async move {
            uploads.verify_all_doubted(stopped).await;
            Ok(())
        });
        let stopped = stop();
        tasks.spawn(async move {
            delivery.read_for_archives(stopped).await;
            Ok(())
        });
        let (uploads, stopped) = (self.repository.clone(), stop());
        let stale_after = self.options.stale_after;
        tasks.spawn(async move {
            uploads.keep_notes(stale_after, stopped).await;
            Ok(())
        });
    }

    /// Returns when the index lacks nothing.
    async fn settled(&self) {
        let whole = async || {
            let unverified = self.repository.catalog().unverified().await;
            unverified.is_ok_and(|unverified| unverified.is_empty())
        };
        while !whole().await {
            tokio::time::sleep(SETTLE_TIMEOUT / 100).await;
        }
    }
}

/// The listeners.
///
/// # Errors
/// An address cannot be told.
pub fn listening(listeners: &[Listener]) -> io::Result<Listening> {
    let mut listening = Listening::default();
    for listener in listeners {
        match listener {
            Listener::Tcp(listener) => listening.tcp.push(listener.local_addr()?),
            Listener::Tls(listener, _) => {
                let address = listener.local_addr()?;
                listening.tcp.push(address);
                listening.secure_port.get_or_insert(address.port());
            }
            Listener::Unix(..) => listening.unix = true,
        }
    }
    Ok(listening)
}

/// Feeds the watchdog while the server does its work, until `stop`.
async fn keep_watchdog(
    supervisor: Supervisor,
    (pulse, workers): (Pulse, Arc<Workers>),
    stop: CancellationToken,
) -> io::Result<()> {
    let Some(interval) = supervisor.watchdog() else {
        stop.cancelled().await;
        return Ok(());
    };
    // As sd_watchdog_enabled(3) has it; the look may take as long as the pause.
    let pause = interval / 4;
    while stop
        .run_until_cancelled(tokio::time::sleep(pause))
        .await
        .is_some()
    {
        match stop
            .run_until_cancelled(pulse.is_felt(&workers, pause))
            .await
        {
            Some(true) => supervisor.alive(),
            Some(false) => tracing::error!(
                "a thread or a listener does not answer; the service manager is not told that the server is alive"
            ),
            None => break,
        }
    }
    Ok(())
}

/// Waits for the tasks that were told to stop.
async fn end(mut tasks: JoinSet<io::Result<()>>) {
    let all = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(TASKS_TIMEOUT, all).await.is_err() {
        tracing::warn!("background tasks have not ended, and are cut off");
    }
}

/// Waits for the shutdown. A task that ends before it takes the server with it: a server that
/// looks healthy and does half its work is worse than none.
async fn watch(tasks: &mut JoinSet<io::Result<()>>, shutdown: &Shutdown) -> io::Result<()> {
    let ended = tokio::select! {
        () = shutdown.stop.cancelled() => return Ok(()),
        ended = tasks.join_next() => ended,
    };
    if shutdown.stop.is_cancelled() {
        return Ok(());
    }
    shutdown.stop.cancel();
    match ended {
        Some(Ok(Ok(()))) | None => Err(io::Error::other("a task that must run has ended")),
        Some(Ok(Err(error))) => Err(error),
        Some(Err(error)) => Err(io::Error::other(error)),
    }
}
