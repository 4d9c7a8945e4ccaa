//! The openness of a server to other machines: a start that leaves it undecided is refused, and
//! the log says the rest.

use anyhow::{anyhow, bail};

use crate::http::HttpOptions;
use crate::http::rules::access::{Action, Gate, Names, Policy, Scopes, Undecided};
use crate::http::rules::locality::{Beyond, Listening};
use crate::ingest;

/// The machines that reach a server, and the actions that its settings open to them beside the
/// secrets.
#[derive(Debug, Clone)]
pub struct Exposure {
    policy: Policy,
    /// Why it is not for its own machine alone; `None` where it is.
    beyond: Option<Beyond>,
    /// Whether `default_expires_in` was given.
    lifetime: bool,
}

impl Exposure {
    /// That of a server with these options that listens there.
    pub fn of(options: &HttpOptions, lifetime: bool, listening: &Listening) -> Self {
        Exposure {
            policy: options.policy,
            beyond: options.beyond(listening),
            lifetime,
        }
    }

    /// Refuses what is left undecided, with secrets that name these scopes.
    ///
    /// # Errors
    /// How it can be decided, in words.
    pub fn decided(&self, named: Scopes) -> anyhow::Result<()> {
        let local = self.beyond.is_none();
        match self.policy.undecided(named, local, self.lifetime) {
            None => Ok(()),
            Some(Undecided::Uploads) => Err(self.who_may_upload()),
            Some(Undecided::Lifetime) => bail!(
                "open lets everybody upload, and nothing says how long uploads are kept: give \
                 --default-expires-in 7d, or never"
            ),
        }
    }

    fn who_may_upload(&self) -> anyhow::Error {
        let secret = ingest::new_token().unwrap_or_else(|_| "SECRET".to_owned());
        let beyond = self.beyond.as_ref().map(ToString::to_string);
        let lifetime = match self.lifetime {
            true => "",
            false => " --default-expires-in 7d",
        };
        anyhow!(
            "others than this machine reach the server ({}), and nothing says who may upload. \
             Either with a secret, such as this new one:\n\n    \
             --access upload+list:{secret}\n\n\
             (better in a file, with access_file), or everybody, where a proxy or the network \
             decides who reaches it:\n\n    \
             --open{lifetime}\n",
            beyond.unwrap_or_default()
        )
    }

    /// A warning for each scope that is open to other machines, with the setting that closes it.
    pub fn warnings(&self, named: Scopes) -> Vec<String> {
        if self.beyond.is_none() && !self.policy.open {
            return Vec::new();
        }
        let open = |action| self.policy.gate(action, named, false) == Gate::Open;
        let mut warnings = Vec::new();
        if open(Action::Upload) {
            warnings.push(
                "everybody who reaches this server can upload: it is open; access = \
                 \"upload:SECRET\" closes it"
                    .to_owned(),
            );
        }
        if open(Action::Download) {
            let known = match self.policy.names {
                Names::Shared => "an upload's id or a file's name (names = shared)",
                _ => "an upload's id",
            };
            warnings.push(format!(
                "everybody who knows {known} can download: access = \"download:SECRET\" closes it"
            ));
        }
        warnings
    }

    /// The readers that find files by their names, for the line of the start.
    pub fn names(&self) -> &'static str {
        match (self.policy.names, &self.beyond) {
            (Names::Shared, _) => "shared",
            (Names::Private, _) => "private",
            (Names::Auto, None) => "this machine",
            (Names::Auto, Some(_)) => "ids only",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::rules::access::Scope;

    fn exposure(policy: Policy, beyond: Option<Beyond>, lifetime: bool) -> Exposure {
        Exposure {
            policy,
            beyond,
            lifetime,
        }
    }

    #[test]
    fn a_start_that_is_refused_says_both_ways() {
        let reached = Some(Beyond::Setting("public_url"));
        let undecided = exposure(Policy::default(), reached.clone(), false);
        let said = undecided
            .decided(Scopes::default())
            .unwrap_err()
            .to_string();
        let secret = said.split("--access upload+list:").nth(1).unwrap();
        let secret = secret.split('\n').next().unwrap();
        assert!(secret.len() >= 22 && !secret.contains(':'), "{said}");
        assert!(said.contains("public_url is set"), "{said}");
        assert!(said.contains("--open --default-expires-in 7d\n"), "{said}");
        let again = undecided
            .decided(Scopes::default())
            .unwrap_err()
            .to_string();
        assert!(!again.contains(secret));
        for scope in [Scope::Upload, Scope::Admin] {
            assert!(undecided.decided(Scopes::from_iter([scope])).is_ok());
        }
        let open = Policy {
            open: true,
            ..Policy::default()
        };
        let said = exposure(open, reached.clone(), false).decided(Scopes::default());
        assert!(
            said.unwrap_err()
                .to_string()
                .contains("--default-expires-in")
        );
        assert!(
            exposure(open, reached, true)
                .decided(Scopes::default())
                .is_ok()
        );
        let local = exposure(Policy::default(), None, false);
        assert!(local.decided(Scopes::default()).is_ok());
        assert_eq!(local.warnings(Scopes::default()), [""; 0]);
    }

    #[test]
    fn each_open_scope_has_one_warning() {
        let reached = Some(Beyond::UnixSocket);
        let policy = Policy {
            open: true,
            names: Names::Shared,
        };
        let open = exposure(policy, reached, true);
        let said = open.warnings(Scopes::default());
        assert_eq!(said.len(), 2);
        assert!(said[0].contains("\"upload:SECRET\"") && said[1].contains("\"download:SECRET\""));
        let some = |scopes: &[Scope]| open.warnings(scopes.iter().copied().collect()).len();
        assert_eq!(some(&[Scope::Upload]), 1);
        assert_eq!(some(&[Scope::Upload, Scope::Download]), 0);
    }
}
