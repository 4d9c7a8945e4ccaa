//! Addresses of servers.

use std::path::PathBuf;

use reqwest::Url;

use super::ClientError;

/// The URL that paths are below, and the unix socket where it is one.
pub(super) fn parse_address(address: &str) -> Result<(Url, Option<PathBuf>), ClientError> {
    if let Some(path) = address.strip_prefix("unix:") {
        if !path.starts_with('/') {
            let reason = format!("{address:?} is not of the form unix:/PATH");
            return Err(ClientError::Address(reason));
        }
        let base = Url::parse("http://localhost/").expect("it is a URL");
        return Ok((base, Some(PathBuf::from(path))));
    }
    let full = if address.contains("://") {
        address.to_owned()
    } else {
        format!("http://{address}")
    };
    let url = Url::parse(&full).ok();
    if let Some(url) = &url
        && (!url.username().is_empty() || url.password().is_some())
    {
        let reason = "the server's address holds a secret: give that as WHARF_TOKEN or in a file";
        return Err(ClientError::Address(reason.to_owned()));
    }
    let usable = |url: &Url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.query().is_none()
            && url.fragment().is_none()
    };
    url.filter(usable).map(|url| (url, None)).ok_or_else(|| {
        // Half a URL may hold a secret as well.
        let shown = address.rsplit('@').next().unwrap_or_default();
        ClientError::Address(format!(
            "{shown:?} is not an address such as http://HOST:PORT, https://HOST or unix:/PATH"
        ))
    })
}

/// The address as messages name it, the same for all ways to write it.
///
/// # Errors
/// It is no address.
pub(crate) fn server_name(address: &str) -> Result<String, ClientError> {
    Ok(match parse_address(address)? {
        (_, Some(path)) => format!("unix:{}", path.display()),
        (base, None) => base.as_str().trim_end_matches('/').to_owned(),
    })
}

/// Whether the environment names a proxy for `http` that is itself asked over TLS.
pub(super) fn proxy_has_tls() -> bool {
    let names = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];
    let mut values = names.iter().filter_map(std::env::var_os);
    values.any(|value| value.as_encoded_bytes().starts_with(b"https:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let base = |text: &str| parse_address(text).map(|(url, _)| url.to_string());
        assert_eq!(base("localhost:8080").unwrap(), "http://localhost:8080/");
        assert_eq!(base("https://a.example/w").unwrap(), "https://a.example/w");
        assert_eq!(base("[::1]:81").unwrap(), "http://[::1]:81/");
        let (_, socket) = parse_address("unix:/run/wharf.sock").unwrap();
        assert_eq!(socket, Some(PathBuf::from("/run/wharf.sock")));
        for same in ["a:80", "http://A/", "http://a:80"] {
            assert_eq!(server_name(same).unwrap(), "http://a");
        }
        for bad in [
            "",
            "ftp://a",
            "http://",
            "unix:run",
            "http://a/?b",
            "http://a/#b",
        ] {
            let error = base(bad).unwrap_err().to_string();
            assert!(error.contains(&format!("{bad:?}")), "{error}");
        }
        for secret in ["http://u:hush@a", "hush@a", "ftp://u:hush@a/"] {
            let error = base(secret).unwrap_err().to_string();
            assert!(!error.contains("hush"), "{error}");
        }
    }
}
