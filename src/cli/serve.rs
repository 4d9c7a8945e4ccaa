//! `wharf serve`.

use std::process::ExitCode;
use std::time::Duration;

use tokio::sync::mpsc;

use super::exposure::Exposure;
use super::listening::{announce, listen_all, reached, settle};
use super::reload::{Reloader, Running, on_hangup};
use crate::config::Config;
use crate::http::rules::locality::Listening;
use crate::http::tls::{ReadCertificates, Tls, follow_files};
use crate::model::Clock;
use crate::shutdown::{Hangup, Shutdown, survive_file_limit};
use crate::supervise::{PassedSockets, Supervisor};
use crate::{app, log};

/// How long threads that block may take to end.
const THREADS_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves until a signal.
pub fn run(config: Config, warnings: &[String], reloader: Reloader) -> anyhow::Result<ExitCode> {
    let filter = log::start(config.log_format, &config.log)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let served = runtime.block_on(serve(config, reloader, filter));
    // A thread that a store keeps blocked does not keep the process.
    runtime.shutdown_timeout(THREADS_TIMEOUT);
    served?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(mut config: Config, reloader: Reloader, filter: log::Filter) -> anyhow::Result<()> {
    survive_file_limit();
    let hangup = Hangup::here();
    let shutdown = Shutdown::on_signals(hangup)?;
    let hangups = match hangup {
        Hangup::Reload => Some(on_hangup()?),
        _ => None,
    };
    let supervisor = Supervisor::of(variable);
    let passed = PassedSockets::of(variable, std::process::id())?;
    settle(&mut config, &passed, reloader.says_where_to_listen());
    let tls = tls(&config)?;
    config.app.http.tls = tls.clone();
    let running = config.clone();
    let http = config.app.http.clone();
    let lifetime = reloader.lifetime_is_given();
    let exposure = |listening: &Listening| {
        let exposure = Exposure::of(&http, lifetime, listening);
        exposure.decided(http.access.named()).map(|()| exposure)
    };
    // Before the store is opened. The addresses bound may still be others than those named.
    exposure(&reached(&config.listen).await?)?;
    let place = config.app.place();
    let app = app::build(config.app).await?;
    let listeners = listen_all(&config.listen, tls.as_ref()).await?;
    let listening = app::listening(&listeners)?;
    let exposure = exposure(&listening)?;
    let admin = listen_all(&config.admin_listen, tls.as_ref()).await?;
    supervisor.serves_on(&announce(&listeners, "")?);
    announce(&admin, " for operators, without a secret")?;
    for warning in exposure.warnings(http.access.named()) {
        tracing::warn!("{warning}");
    }
    if let Some(color) = http.brand.color {
        tracing::info!("{}", color.described());
    }
    let names = exposure.names();
    tracing::info!(
        store = place,
        version = env!("CARGO_PKG_VERSION"),
        names,
        "ready"
    );
    if let Some(tls) = tls.clone() {
        tokio::spawn(follow_files(tls, Clock::system(), shutdown.stop.clone()));
    }
    let (renewals, received) = mpsc::channel(1);
    if let Some(hangups) = hangups {
        let running = Running {
            config: running,
            renewals,
            filter,
            listening,
            exposure,
            tls,
            supervisor: supervisor.clone(),
        };
        tokio::spawn(reloader.run(hangups, running));
    }
    let app = app.with_admin(admin).with_supervisor(supervisor);
    let app = app.with_renewals(received);
    app.run(listeners, shutdown).await?;
    tracing::info!("ended");
    Ok(())
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The certificates, where there are some.
fn tls(config: &Config) -> anyhow::Result<Option<Tls>> {
    if config.certificates.is_empty() {
        return Ok(None);
    }
    let now = Clock::system().now();
    let read = ReadCertificates::read(config.certificates.clone(), now)?;
    for warning in read.warnings(now) {
        tracing::warn!("{warning}");
    }
    Ok(Some(Tls::new(read)))
}
