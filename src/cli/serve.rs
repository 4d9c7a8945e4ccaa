//! `wharf serve`.

use std::io;
use std::net::Ipv6Addr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;

use super::exposure::Exposure;
use super::reload::{Reloader, Running, on_hangup};
use crate::config::{Config, Endpoint, ListenAddress};
use crate::http::rules::locality::Listening;
use crate::http::server::{Listener, listen_everywhere, listen_passed, listen_tcp, listen_unix};
use crate::http::tls::{ReadCertificates, Tls, follow_files};
use crate::model::Clock;
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
    let hangups = match hangup {
        Hangup::Reload => Some(on_hangup()?),
        _ => None,
    };
    let tls = tls(&config)?;
    config.app.http.tls = tls.clone();
    let http = config.app.http.clone();
    let access = http.access.clone();
    let lifetime = reloader.lifetime_is_given();
    let exposure = |listening: &Listening| {
        let exposure = Exposure::of(&http, lifetime, listening);
        exposure.decided(access.named()).map(|()| exposure)
    };
    // Before the store is opened. What was bound may still be something else than what was named.
    exposure(&reached(&config.listen).await?)?;
    let place = config.app.place();
    let app = app::build(config.app).await?;
    let listeners = listen_all(&config.listen, tls.as_ref()).await?;
    let exposure = exposure(&app::listening(&listeners)?)?;
    let admin = listen_all(&config.admin_listen, tls.as_ref()).await?;
    announce(&listeners, "")?;
    announce(&admin, " for operators, without a secret")?;
    for warning in exposure.warnings(access.named()) {
        tracing::warn!("{warning}");
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
    if let Some(hangups) = hangups {
        let running = Running {
            access,
            filter,
            exposure,
            tls,
        };
        tokio::spawn(reloader.run(hangups, running));
    }
    app.with_admin(admin).run(listeners, shutdown).await?;
    tracing::info!("ended");
    Ok(())
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

/// What the addresses stand for, as far as that is known before they are listened on.
async fn reached(endpoints: &[Endpoint]) -> anyhow::Result<Listening> {
    let mut listening = Listening::default();
    for endpoint in endpoints {
        match &endpoint.address {
            ListenAddress::Unix(_) => listening.unix = true,
            ListenAddress::Everywhere(port) => {
                listening.tcp.push((Ipv6Addr::UNSPECIFIED, *port).into());
            }
            // Known when it is taken.
            ListenAddress::Descriptor(_) => {}
            ListenAddress::Tcp(text) => {
                let found = tokio::net::lookup_host(text).await;
                let found = found.with_context(|| format!("cannot listen on {text}"))?;
                listening.tcp.extend(found);
            }
        }
    }
    Ok(listening)
}

async fn listen_all(endpoints: &[Endpoint], tls: Option<&Tls>) -> anyhow::Result<Vec<Listener>> {
    let mut listeners = Vec::new();
    for endpoint in endpoints {
        let tls = tls.filter(|_| endpoint.tls);
        let opened = listen(&endpoint.address).await?.into_iter();
        listeners.extend(opened.map(|listener| match tls {
            Some(tls) => listener.secured(tls),
            None => listener,
        }));
    }
    Ok(listeners)
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

fn announce(listeners: &[Listener], to: &str) -> io::Result<()> {
    for listener in listeners {
        match listener {
            Listener::Unix(listener, _) => {
                let address = listener.local_addr()?;
                let path = address.as_pathname().unwrap_or(Path::new("(no path)"));
                tracing::info!("listening on unix:{}{to}", path.display());
            }
            Listener::Tcp(listener) => {
                tracing::info!("listening on http://{}{to}", listener.local_addr()?);
            }
            Listener::Tls(listener, _) => {
                tracing::info!("listening on https://{}{to}", listener.local_addr()?);
            }
        }
    }
    Ok(())
}
