//! Settings that were read anew, and come into force while the server runs.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::options::AppOptions;
use crate::http;
use crate::http::rules::locality::Listening;
use crate::http::server::Front;
use crate::ingest::Ingest;
use crate::model::Clock;
use crate::repository::Repository;

/// Settings that were read anew, and the task that waits for them to be in force.
#[derive(Debug)]
pub struct Renewal {
    /// All of them; those that need a restart are passed over.
    pub options: AppOptions,
    /// Told when requests that begin are answered by them.
    pub done: oneshot::Sender<()>,
}

/// The services on the addresses of clients and on those of operators.
pub struct Fronts {
    state: http::AppState,
    /// The service for clients.
    pub clients: Arc<Front>,
    /// The service for operators on their own addresses.
    pub operators: Arc<Front>,
    listening: (Listening, Listening),
}

impl Fronts {
    /// With the settings of `state`, for the addresses of clients and of operators.
    pub fn new(state: http::AppState, listening: (Listening, Listening)) -> Self {
        let service = http::service(state.clone(), &listening.0);
        let admin = http::admin_service(state.clone(), &listening.1);
        Fronts {
            state,
            clients: Front::new(service),
            operators: Front::new(admin),
            listening,
        }
    }

    /// Has requests from now on answered with these settings.
    fn renew(&self, ingest: Ingest, options: http::HttpOptions) {
        let state = self.state.renewed(ingest, options);
        let (clients, operators) = &self.listening;
        self.clients.replace(http::service(state.clone(), clients));
        self.operators
            .replace(http::admin_service(state, operators));
    }
}

/// Puts settings in force as they come, until `stop`: for requests in `fronts`, and in `options`.
pub async fn renew(
    mut renewals: Option<mpsc::Receiver<Renewal>>,
    fronts: Fronts,
    options: Arc<Mutex<AppOptions>>,
    (uploads, clock): (Repository, Clock),
    stop: CancellationToken,
) -> io::Result<()> {
    let renewing = async {
        let Some(renewals) = &mut renewals else {
            return;
        };
        while let Some(renewal) = renewals.recv().await {
            let options = {
                let mut held = options.lock().unwrap_or_else(PoisonError::into_inner);
                *held = held.renewed(&renewal.options);
                held.clone()
            };
            let ingest = Ingest::new(uploads.clone(), clock.clone(), options.ingest);
            fronts.renew(ingest, options.http);
            // The task that asked for it may have gone.
            let _ = renewal.done.send(());
        }
    };
    stop.run_until_cancelled(renewing).await;
    stop.cancelled().await;
    Ok(())
}
