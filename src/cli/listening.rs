//! Where `wharf serve` listens.

use std::io;
use std::net::Ipv6Addr;
use std::path::Path;

use anyhow::Context as _;

use crate::config::{Config, Endpoint, ListenAddress};
use crate::http::rules::locality::Listening;
use crate::http::server::{Listener, listen_everywhere, listen_passed, listen_tcp, listen_unix};
use crate::http::tls::Tls;
use crate::supervise::PassedSockets;

/// Puts the numbers of passed sockets in the place of their names. Where `told` is false, the
/// settings name no place, and all sockets that were passed take that of the default, but those of
/// `admin_listen`.
pub fn settle(config: &mut Config, passed: &PassedSockets, told: bool) {
    let admin = config.admin_listen.iter();
    let admin = admin.filter_map(|endpoint| match &endpoint.address {
        ListenAddress::Named(name) => Some(name.as_str()),
        _ => None,
    });
    let others = passed.others(&admin.collect::<Vec<_>>());
    if !told && !others.is_empty() {
        let tls = config.listen.iter().any(|endpoint| endpoint.tls);
        config.listen = numbered(others, tls);
    }
    for endpoints in [&mut config.listen, &mut config.admin_listen] {
        let settled = endpoints
            .drain(..)
            .flat_map(|endpoint| match &endpoint.address {
                ListenAddress::Named(name) if !passed.named(name).is_empty() => {
                    numbered(passed.named(name), endpoint.tls)
                }
                _ => vec![endpoint],
            });
        *endpoints = settled.collect();
    }
}

fn numbered(numbers: Vec<i32>, tls: bool) -> Vec<Endpoint> {
    let endpoint = |number| Endpoint {
        address: ListenAddress::Descriptor(number),
        tls,
    };
    numbers.into_iter().map(endpoint).collect()
}

/// The addresses to be listened on, as far as they are known before.
pub async fn reached(endpoints: &[Endpoint]) -> anyhow::Result<Listening> {
    let mut listening = Listening::default();
    for endpoint in endpoints {
        match &endpoint.address {
            ListenAddress::Unix(_) => listening.unix = true,
            ListenAddress::Everywhere(port) => {
                listening.tcp.push((Ipv6Addr::UNSPECIFIED, *port).into());
            }
            // Known when it is taken.
            ListenAddress::Descriptor(_) | ListenAddress::Named(_) => {}
            ListenAddress::Tcp(text) => {
                let found = tokio::net::lookup_host(text).await;
                let found = found.with_context(|| format!("cannot listen on {text}"))?;
                listening.tcp.extend(found);
            }
        }
    }
    Ok(listening)
}

pub async fn listen_all(
    endpoints: &[Endpoint],
    tls: Option<&Tls>,
) -> anyhow::Result<Vec<Listener>> {
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
        ListenAddress::Named(name) => {
            anyhow::bail!(
                "cannot listen on fd:{name}: no socket was passed to this process under that name \
                 (FileDescriptorName= of a socket unit)"
            )
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

/// Logs what is listened on; answers it for people.
///
/// # Errors
/// An address cannot be told.
pub fn announce(listeners: &[Listener], to: &str) -> io::Result<String> {
    let mut all = Vec::new();
    for listener in listeners {
        let place = match listener {
            Listener::Unix(listener, _) => {
                let address = listener.local_addr()?;
                let path = address.as_pathname().unwrap_or(Path::new("(no path)"));
                format!("unix:{}", path.display())
            }
            Listener::Tcp(listener) => format!("http://{}", listener.local_addr()?),
            Listener::Tls(listener, _) => format!("https://{}", listener.local_addr()?),
        };
        tracing::info!("listening on {place}{to}");
        all.push(place);
    }
    Ok(all.join(", "))
}
