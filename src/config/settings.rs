//! The table of settings. Flags, environment variables, keys of `wharf.toml` and the help text
//! are all derived from it, so that a setting is one row here and one line where it is checked.

/// Whether a setting takes one value or several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingKind {
    /// One value.
    Single,
    /// Several: a repeated flag, a TOML array, commas in the environment.
    List,
}

/// How a value is written in TOML and as a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingShape {
    /// A string.
    Text,
    /// A number where it has no unit, else a string.
    Number,
    /// `true` or `false`; the flag alone is `true`.
    Switch,
}

/// The secret part of a value.
#[derive(Debug, Clone, Copy)]
enum Mask {
    Nothing,
    /// The secret of an access rule: scopes and id before it tell rules apart.
    AccessSecret,
    /// The password of a URL.
    Password,
}

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// The key in `wharf.toml`: lower case, words joined by `_`.
    pub key: &'static str,
    /// The default as a user would write it; empty for a list without elements.
    pub default: &'static str,
    /// One value or several.
    pub kind: SettingKind,
    /// How a value is written.
    pub shape: SettingShape,
    /// The key it had before, which is read with a warning for one release.
    pub former: Option<&'static str>,
    /// The short flag.
    pub short: Option<char>,
    /// Whether a change of it needs a restart; every other counts with the next reload.
    pub needs_restart: bool,
    /// The part of its values that is masked wherever they are shown.
    mask: Mask,
    /// The heading it stands under in the help text.
    pub group: &'static str,
    /// The placeholder of the value in the help text.
    pub value: &'static str,
    /// One sentence of help.
    pub help: &'static str,
}

impl Setting {
    /// The long flag without its dashes: `max-file-size`.
    pub fn flag(&self) -> String {
        flag_of(self.key)
    }

    /// The environment variable: `WHARF_MAX_FILE_SIZE`.
    pub fn env(&self) -> String {
        env_of(self.key)
    }

    /// The key, and the one that it had before.
    pub fn keys(&self) -> impl Iterator<Item = &'static str> + use<> {
        std::iter::once(self.key).chain(self.former)
    }

    const fn number(mut self) -> Self {
        self.shape = SettingShape::Number;
        self
    }

    const fn switch(mut self) -> Self {
        self.shape = SettingShape::Switch;
        self
    }

    const fn formerly(mut self, key: &'static str) -> Self {
        self.former = Some(key);
        self
    }

    const fn short(mut self, flag: char) -> Self {
        self.short = Some(flag);
        self
    }

    const fn restart(mut self) -> Self {
        self.needs_restart = true;
        self
    }

    const fn list(mut self) -> Self {
        self.kind = SettingKind::List;
        self
    }

    const fn mask(mut self, mask: Mask) -> Self {
        self.mask = mask;
        self
    }

    /// A value as it may be shown.
    pub fn shown(&self, text: &str) -> String {
        match self.mask {
            Mask::Nothing => text.to_owned(),
            Mask::AccessSecret if text == "none" => text.to_owned(),
            Mask::AccessSecret => match text.splitn(3, ':').collect::<Vec<_>>()[..] {
                [scopes, id, secret] if !secret.contains(':') => format!("{scopes}:{id}:***"),
                [scopes, _, ..] => format!("{scopes}:***"),
                _ => "***".to_owned(),
            },
            Mask::Password => match (text.split_once("://"), text.rsplit_once('@')) {
                (Some((scheme, _)), Some((_, hosts))) => format!("{scheme}://***@{hosts}"),
                (None, Some((_, hosts))) => format!("***@{hosts}"),
                _ => text.to_owned(),
            },
        }
    }
}

/// The long flag of a key, without its dashes.
pub(super) fn flag_of(key: &str) -> String {
    key.replace('_', "-")
}

/// The environment variable of a key.
pub(super) fn env_of(key: &str) -> String {
    format!("WHARF_{}", key.to_ascii_uppercase())
}

/// The setting with this key.
pub fn find(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

/// The heading of the settings that close the server to strangers. An empty environment variable
/// of this group is an error, where others count as not set: a secret that an orchestrator failed
/// to fill in must not leave the server open.
pub const ACCESS: &str = "Access";

const NETWORK: &str = "Network";
const TLS: &str = "TLS";
/// The heading of the settings that say where uploads are.
pub const STORAGE: &str = "Storage";
/// The heading of the settings that instances with one store have in common.
pub const SHARING: &str = "Several instances";
const EXPIRY: &str = "Names and expiry";
const LIMITS: &str = "Limits";
const PAGES: &str = "Pages";
const RUNNING: &str = "Running and logging";

const fn row(
    group: &'static str,
    key: &'static str,
    default: &'static str,
    value: &'static str,
    help: &'static str,
) -> Setting {
    Setting {
        key,
        default,
        kind: SettingKind::Single,
        shape: SettingShape::Text,
        former: None,
        short: None,
        needs_restart: false,
        mask: Mask::Nothing,
        group,
        value,
        help,
    }
}

/// Every setting, in the order in which they are shown.
#[rustfmt::skip]
pub static SETTINGS: &[Setting] = &[
    row(NETWORK, "port", "8080", "PORT", "Listen on this port; 0 takes one that is free").short('p').number().restart(),
    row(NETWORK, "bind", "127.0.0.1", "HOST", "Listen on this address; * is every address of the machine").short('b').restart(),
    row(NETWORK, "listen", "", "ADDRESS", "Listen here, not on bind and port: PORT (on the address bind), :PORT (on every address), HOST:PORT, unix:/PATH or fd:NUMBER (a listening socket that was passed, as systemd does); https:// or http:// before it says whether it has TLS; may be repeated").list().restart(),
    row(NETWORK, "admin_listen", "", "ADDRESS", "Answer operators here, without a secret: /status, /metrics, /healthz and /readyz; with TLS where https:// is before it; may be repeated").list().restart(),
    row(NETWORK, "public_url", "none", "URL", "The address clients reach the server at; absolute URLs are built from it and base_path"),
    row(NETWORK, "base_path", "/", "PATH", "The path in front of every route"),
    row(NETWORK, "trusted_proxies", "", "CIDR", "Believe the Forwarded and X-Forwarded-* headers of these peers; may be repeated").list(),
    row(NETWORK, "hosts", "", "HOST", "Serve requests for this host, for all below a name (*.NAME), and for this machine's own names; may be repeated. Without it any host is served, but for foreign names with the server's own port where it listens for its machine alone").list(),
    row(NETWORK, "cors_origin", "", "ORIGIN", "Let pages of this origin (https://*.NAME for all below a name) use the server from a browser; may be repeated").list(),
    row(NETWORK, "embed", "false", "BOOL", "Let pages of the origins in cors_origin show files of this server: pictures, audio and video").switch(),
    row(TLS, "tls_cert", "", "FILE", "Speak HTTPS with the certificate in this file (PEM; those that lead to a known one behind it) on every address of TCP without http:// before it. It is read again when it changes. May be repeated: a client gets the one for the name it asks for, else the first").list(),
    row(TLS, "tls_key", "", "FILE", "The key of the certificate (PEM, without a password), in the order of tls_cert; without it the files of tls_cert hold the keys too").list(),
    row(TLS, "tls_redirect", "false", "BOOL", "Send clients that come without TLS, on addresses with http:// before them, to https: to public_url, or else to the first address that has TLS; not those of trusted proxies and unix sockets").switch(),
    row(TLS, "hsts", "none", "TIME", "Tell browsers to ask for nothing but https for this time (Strict-Transport-Security), 365d for example").number(),
    row(STORAGE, "store", "disk", "WHERE", "Store uploads on disk, in the folder dir, or in an S3 bucket: s3://BUCKET/PREFIX, with the AWS_* variables and files for credentials and region").restart(),
    row(STORAGE, "dir", "./upload", "DIR", "Store uploads in this folder; with a bucket, the index of an instance without Redis").restart(),
    row(STORAGE, "s3_endpoint", "none", "URL", "The address of an object store that is not AWS").mask(Mask::Password).restart(),
    row(STORAGE, "s3_memory", "256MiB", "SIZE", "The memory that all uploads together may hold on their way to a bucket; files above 1TiB need more").number().restart(),
    row(STORAGE, "s3_redirect", "false", "BOOL", "Send clients to the bucket for raw files, with an address that is good for five minutes").switch().restart(),
    row(STORAGE, "durability", "strict", "MODE", "strict answers once an upload is on stable storage, relaxed does not wait for it").restart(),
    row(STORAGE, "journal", "off", "MODE", "on makes small uploads and changes durable by one journal in .wharf/journal, for many at once, where durability is strict and this server has the folder dir alone").restart(),
    row(STORAGE, "journal_size", "256MiB", "SIZE", "What the journal takes on the disk, from 32MiB to 16GiB").number().restart(),
    row(STORAGE, "digest", "sha-256", "DIGEST", "The digest taken of every file: sha-256 or none"),
    row(STORAGE, "min_free", "64MiB", "SIZE", "Refuse uploads that would leave less free space than this").number().restart(),
    row(STORAGE, "sendfile", "auto", "MODE", "How large files on disk reach readers over HTTP/1.1: on has the kernel send them (sendfile), off reads and writes them, auto times both and does what costs less").restart(),
    row(STORAGE, "max_total_size", "none", "SIZE", "The most that files and manifests take altogether, each rounded up to 4 KiB").number().restart(),
    row(SHARING, "redis", "none", "URL", "Share the store with other instances through this Redis: redis://HOST:PORT/DB, rediss://… over TLS, or redis-cluster://HOST:PORT,HOST:PORT").mask(Mask::Password).restart(),
    row(SHARING, "redis_prefix", "wharf", "TEXT", "What every key in Redis begins with").restart(),
    row(SHARING, "lease_key", "auto", "KEY", "The key of the lock that elects the instance that cleans up; auto is REDIS_PREFIX:{lead}:lock").restart(),
    row(SHARING, "lease_ttl", "4s", "TIME", "How long the lock lasts when its holder has died").number().restart(),
    row(EXPIRY, "names", "auto", "MODE", "auto finds files by name for requests from this machine to a server that is for it alone, and by id for others; shared by name for everybody; private by id alone"),
    row(EXPIRY, "default_expires_in", "never", "TIME", "Expire uploads that do not say when themselves; never means no earlier than max_expires_in").formerly("expire_after").number(),
    row(EXPIRY, "max_expires_in", "none", "TIME", "The longest time an upload may live").formerly("max_expire_after").number(),
    row(EXPIRY, "stale_after", "24h", "TIME", "Clean up unfinished uploads after this time without a byte").number().restart(),
    row(LIMITS, "max_file_size", "none", "SIZE", "The largest file").number(),
    row(LIMITS, "max_request_size", "none", "SIZE", "The largest request body").number(),
    row(LIMITS, "max_files", "1000", "COUNT", "The most files in one form").number(),
    row(LIMITS, "max_fields", "1000", "COUNT", "The most text fields in one form").number(),
    row(LIMITS, "max_field_size", "64KiB", "SIZE", "The largest text field").number(),
    row(LIMITS, "max_fields_size", "1MiB", "SIZE", "The most that the text fields of one form hold together").number(),
    row(LIMITS, "max_connections", "10000", "COUNT", "The most connections at once").number().restart(),
    row(LIMITS, "max_uploads", "1000", "COUNT", "The most uploads under way at once").number(),
    row(LIMITS, "max_uploads_per_client", "none", "COUNT", "The most uploads under way at once from one address; in any case half of max_uploads while three quarters of them are taken").number(),
    row(LIMITS, "min_rate", "1KiB", "SIZE", "How many bytes a second an upload has to bring while its client is waited for, over a minute; the slowest below it is ended for others while three quarters of max_uploads or max_connections are taken").number(),
    row(ACCESS, "open", "false", "BOOL", "Let everybody upload without a secret, where others than this machine reach the server: for one that a proxy or the network guards. default_expires_in has to be given with it").switch(),
    row(ACCESS, "access", "", "SCOPES:SECRET", "The secret of the scopes (upload, download, list, and admin, which is all; joined by +), which are closed without it; SCOPES:ID:SECRET gives it a name for the log; may be repeated. Other users of the machine can see flags: prefer access_file, or tables [[access]] in the settings file").list().mask(Mask::AccessSecret),
    row(ACCESS, "access_file", "none", "FILE", "Read further SCOPES:SECRET and SCOPES:ID:SECRET lines from this file"),
    row(PAGES, "brand_name", "wharf", "NAME", "The name in the head and the titles of the pages"),
    row(PAGES, "brand_logo", "none", "FILE", "The picture in the head of the pages: PNG, WebP or SVG, up to 256 KiB"),
    row(PAGES, "brand_color", "none", "COLOR", "The colour of buttons and links, such as #0b6285; black or white text stands on it, and links have a shade that can be read (WCAG 2.2 AA)"),
    row(PAGES, "imprint_url", "none", "URL", "Where it says who runs the server; at the foot of every page"),
    row(RUNNING, "instance", "auto", "NAME", "The name of this instance; auto means host name and process id").restart(),
    row(RUNNING, "idle_timeout", "30s", "TIME", "Give up on a transfer that makes no progress for this time").number(),
    row(RUNNING, "shutdown_grace", "30s", "TIME", "Let transfers finish for this time when the server is stopped").number(),
    row(RUNNING, "log_format", "text", "FORMAT", "text or json").restart(),
    row(RUNNING, "log", "info", "FILTER", "Which lines are logged: a level, or directives such as wharf=debug,info"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flag_and_variable_are_derived_from_the_key() {
        let setting = find("max_file_size").unwrap();
        assert_eq!(setting.flag(), "max-file-size");
        assert_eq!(setting.env(), "WHARF_MAX_FILE_SIZE");
        assert!(find("max-file-size").is_none());
    }

    #[test]
    fn secrets_are_masked() {
        let shown = |key: &str, text: &str| find(key).unwrap().shown(text);
        assert_eq!(shown("access", "admin:s3cret"), "admin:***");
        assert_eq!(
            shown("access", "upload+list:ci:s3cret"),
            "upload+list:ci:***"
        );
        assert_eq!(shown("access", "admin:s3cr:et:more"), "admin:***");
        assert_eq!(shown("access", "s3cret"), "***");
        assert_eq!(shown("redis", "redis://a:1/2"), "redis://a:1/2");
        assert_eq!(shown("redis", "rediss://me:s3@cret@a"), "rediss://***@a");
        assert_eq!(shown("redis", "me:s3cret@a"), "***@a");
        assert_eq!(shown("s3_endpoint", "http://me:s3/c@a:1"), "http://***@a:1");
        assert_eq!(shown("dir", "a:b"), "a:b");
    }

    #[test]
    fn every_row_is_whole_and_there_once() {
        for (at, setting) in SETTINGS.iter().enumerate() {
            let key = setting.key;
            assert!(
                key.bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
            );
            assert!(!setting.help.is_empty(), "{key} has no help");
            assert!(!setting.value.is_empty(), "{key} has no placeholder");
            assert!(!setting.group.is_empty(), "{key} has no group");
            assert!(
                setting.kind == SettingKind::List || !setting.default.is_empty(),
                "{key} has no default"
            );
            assert!(
                SETTINGS[..at].iter().all(|earlier| earlier
                    .keys()
                    .all(|taken| setting.keys().all(|key| key != taken))),
                "{key} is there twice"
            );
        }
    }
}
