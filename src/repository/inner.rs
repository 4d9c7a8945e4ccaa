//! The parts of a repository: store, index, and what it remembers of both.

use std::sync::Arc;
use std::time::Duration;

use super::backlog::Backlog;
use super::cache::Manifests;
use super::damage::Damage;
use super::doubted::DoubtedUploads;
use super::open_uploads::OpenUploads;
use super::running::RunningChanges;
use crate::catalog::Catalog;
use crate::model::Clock;
use crate::store::Store;

/// How long a commit waits for the index, which can follow later.
pub const INDEX_TIMEOUT: Duration = Duration::from_secs(2);

/// The parts of a [`Repository`](super::Repository), which its clones and the changes under way share.
pub struct RepositoryInner {
    pub store: Arc<dyn Store>,
    pub catalog: Arc<dyn Catalog>,
    pub manifests: Manifests,
    pub backlog: Backlog,
    pub running: RunningChanges,
    pub open: OpenUploads,
    pub damage: Damage,
    pub doubted: DoubtedUploads,
    pub clock: Clock,
    /// Whether other processes have the store too.
    pub shared: bool,
}

impl RepositoryInner {
    pub fn new(
        store: Arc<dyn Store>,
        catalog: Arc<dyn Catalog>,
        clock: Clock,
        shared: bool,
    ) -> Self {
        RepositoryInner {
            store,
            catalog,
            manifests: Manifests::new(shared),
            backlog: Backlog::default(),
            running: RunningChanges::default(),
            open: OpenUploads::default(),
            damage: Damage::default(),
            doubted: DoubtedUploads::default(),
            clock,
            shared,
        }
    }
}
