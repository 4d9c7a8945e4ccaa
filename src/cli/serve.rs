//! `wharf serve`.

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;

use super::reload::{Reloader, Running, on_hangup};
use crate::config::{Config, ListenAddress};
use crate::http::rules::access::Scope;
use crate::http::server::{Listener, listen_everywhere, listen_passed, listen_tcp, listen_unix};
use crate::shutdown::{Hangup, Shutdown, survive_file_limit};
use crate::{app, log};

/// How long threads that block may take to end.
const BLOCKED: Duration = Duration::from_secs(5);

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
    runtime.shutdown_timeout(BLOCKED);
    served?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(mut config: Config, reloader: Reloader, filter: log::Filter) -> anyhow::Result<()> {
    survive_file_limit();
    let hangup = Hangup::here();
    let shutdown = Shutdown::on_signals(hangup)?;
    if hangup == Hangup::Reload {
        let access = &mut config.app.http.access;
        access.may_change |= reloader.may_change_access();
        let access = access.clone();
        tokio::spawn(reloader.run(on_hangup()?, Running { access, filter }));
    }
    let upload_open = !config.app.http.access.guards(Scope::Upload);
    let place = config.app.place();
    let app = app::build(config.app).await?;
    let mut listeners = Vec::new();
    for address in &config.listen {
        listeners.extend(listen(address).await?);
    }
    for listener in &listeners {
        announce(listener, upload_open)?;
    }
    tracing::info!(store = place, version = env!("CARGO_PKG_VERSION"), "ready");
    app.run(listeners, shutdown).await?;
    tracing::info!("ended");
    Ok(())
}

async fn listen(address: &ListenAddress) -> anyhow::Result<Vec<Listener>> {
    match address {
        ListenAddress::Unix(path) => {
            let failed = || format!("cannot listen on unix:{}", path.display());
            Ok(vec![listen_unix(path.clone()).await.with_context(failed)?])
        }
        ListenAddress::Everywhere(port) => {
            let failed = || format!("cannot listen on :{port}");
            Ok(vec![listen_everywhere(*port).await.with_context(failed)?])
        }
        ListenAddress::Descriptor(number) => {
            let failed = || format!("cannot listen on fd:{number}");
            Ok(vec![listen_passed(*number).await.with_context(failed)?])
        }
        ListenAddress::Tcp(text) => {
            let failed = || format!("cannot listen on {text}");
            let mut listeners = Vec::new();
            for address in tokio::net::lookup_host(text).await.with_context(failed)? {
                listeners.push(listen_tcp(address).await.with_context(failed)?);
            }
            Ok(listeners)
        }
    }
}

fn announce(listener: &Listener, upload_open: bool) -> io::Result<()> {
    match listener {
        Listener::Unix(listener, _) => {
            let address = listener.local_addr()?;
            let path = address.as_pathname().unwrap_or(Path::new("(no path)"));
            tracing::info!("listening on unix:{}", path.display());
        }
        Listener::Tcp(listener) => {
            let address = listener.local_addr()?;
            tracing::info!("listening on http://{address}");
            if upload_open && !address.ip().is_loopback() {
                tracing::warn!(
                    "every client that reaches {address} can upload: no access secret names `upload`"
                );
            }
        }
    }
    Ok(())
}
