//! The actions that are open to everybody, and the secret that opens each of the rest: the one
//! place that decides it, from settings, from the scopes that secrets name, and from whether a
//! request is local.

use std::fmt;

/// The right that a secret gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Storing.
    Upload,
    /// Every way of reading one upload.
    Download,
    /// The listing.
    List,
    /// All of these, changes of every upload, and operation.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Scope; 4] = [Scope::Upload, Scope::Download, Scope::List, Scope::Admin];

    /// Its word in settings and answers.
    pub fn word(self) -> &'static str {
        match self {
            Scope::Upload => "upload",
            Scope::Download => "download",
            Scope::List => "list",
            Scope::Admin => "admin",
        }
    }

    /// The scope of a word.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.word() == word)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Some scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scopes(u8);

impl Scopes {
    /// Whether `scope` is named among them.
    pub fn name(self, scope: Scope) -> bool {
        self.0 & (1 << scope as u8) != 0
    }

    /// Whether they allow what `scope` does: `admin` allows everything.
    pub fn allow(self, scope: Scope) -> bool {
        self.name(scope) || self.name(Scope::Admin)
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Scopes) -> Self {
        Scopes(self.0 | other.0)
    }

    /// Their words, joined by `+` as a setting has them.
    pub fn words(self) -> String {
        let named = Scope::ALL.into_iter().filter(|scope| self.name(*scope));
        named.map(Scope::word).collect::<Vec<_>>().join("+")
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        let bits = scopes.into_iter().map(|scope| 1 << scope as u8);
        Scopes(bits.fold(0, |all, bit| all | bit))
    }
}

/// The setting `names`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Names {
    /// By name and in listings where a request is local; elsewhere by id alone.
    #[default]
    Auto,
    /// By name for every client.
    Shared,
    /// By id alone; the listing is for `admin`.
    Private,
}

/// The settings that open something, beside the secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Policy {
    /// The setting `names`.
    pub names: Names,
    /// The setting `open`: clients of other machines may upload without a secret.
    pub open: bool,
}

/// The action of a request, as far as it may need a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Store an upload.
    Upload,
    /// Read an upload or a file of it.
    Download,
    /// List the uploads.
    List,
    /// Read the status and the counters.
    Observe,
    /// Operate the server.
    Administer,
}

impl Action {
    /// All of them.
    pub const ALL: [Action; 5] = [
        Action::Upload,
        Action::Download,
        Action::List,
        Action::Observe,
        Action::Administer,
    ];
}

/// Whether an action needs a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// It does not.
    Open,
    /// It needs one with this scope.
    Secret(Scope),
}

impl Policy {
    /// Whether `action` needs a secret, where the secrets that there are name the scopes `named`,
    /// and the request is `local` or not.
    pub fn gate(self, action: Action, named: Scopes, local: bool) -> Gate {
        let (scope, open) = match action {
            Action::Upload => (Scope::Upload, local || self.open),
            // An id cannot be guessed: a caller who has one was given it.
            Action::Download => (Scope::Download, true),
            Action::List if self.names == Names::Private => return Gate::Secret(Scope::Admin),
            // The listing gives out ids, which open what they name: it is closed where that is.
            Action::List => (Scope::List, local && !named.name(Scope::Download)),
            Action::Observe => (Scope::Admin, local),
            Action::Administer => return Gate::Secret(Scope::Admin),
        };
        if open && !named.name(scope) {
            Gate::Open
        } else {
            Gate::Secret(scope)
        }
    }

    /// Whether a request resolves names, not ids alone.
    pub fn resolves_names(self, local: bool) -> bool {
        match self.names {
            Names::Auto => local,
            Names::Shared => true,
            Names::Private => false,
        }
    }
}

/// Why a server may not start, for what its settings leave open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undecided {
    /// Clients of other machines reach it, and nothing says who may upload.
    Uploads,
    /// Uploads need no secret, and nothing says how long they are kept.
    Lifetime,
}

impl Policy {
    /// The first question left undecided for a server that is `local` or not. `held` are the scopes
    /// that secrets name, `lifetime` says whether `default_expires_in` was given.
    pub fn undecided(self, held: Scopes, local: bool, lifetime: bool) -> Option<Undecided> {
        if !local && !self.open && !held.allow(Scope::Upload) {
            return Some(Undecided::Uploads);
        }
        // With `open` a local server serves proxies too, which may be in front of it.
        if self.open && !held.name(Scope::Upload) && !lifetime {
            return Some(Undecided::Lifetime);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [Names; 3] = [Names::Auto, Names::Shared, Names::Private];

    fn policies() -> impl Iterator<Item = Policy> {
        let both = |names| [false, true].map(|open| Policy { names, open });
        NAMES.into_iter().flat_map(both)
    }

    /// Every set of scopes.
    fn all_scopes() -> impl Iterator<Item = Scopes> {
        (0..16).map(Scopes)
    }

    /// The table of the interface, with no secret at all.
    #[test]
    fn what_is_open_by_default_is_open_to_local_requests_alone() {
        let auto = Policy::default();
        let none = Scopes::default();
        let open = |policy: Policy, local| {
            Action::ALL.map(|action| policy.gate(action, none, local) == Gate::Open)
        };
        //                       upload download list  observe administer
        assert_eq!(open(auto, true), [true, true, true, true, false]);
        assert_eq!(open(auto, false), [false, true, false, false, false]);
        let open_to_all = Policy { open: true, ..auto };
        assert_eq!(open(open_to_all, true), [true, true, true, true, false]);
        assert_eq!(open(open_to_all, false), [true, true, false, false, false]);
        let private = Policy {
            names: Names::Private,
            ..auto
        };
        assert_eq!(open(private, true), [true, true, false, true, false]);
        let shared = Policy {
            names: Names::Shared,
            ..auto
        };
        assert_eq!(open(shared, false), [false, true, false, false, false]);
        assert_eq!(
            [true, false].map(|local| auto.resolves_names(local)),
            [true, false]
        );
        assert_eq!(
            [true, false].map(|local| shared.resolves_names(local)),
            [true; 2]
        );
        assert_eq!(
            [true, false].map(|local| private.resolves_names(local)),
            [false; 2]
        );
    }

    /// Rules that hold for each of the 6 × 16 × 5 × 2 cases.
    #[test]
    fn no_case_opens_more_than_it_may() {
        for policy in policies() {
            for named in all_scopes() {
                for action in Action::ALL {
                    let [here, elsewhere] =
                        [true, false].map(|local| policy.gate(action, named, local));
                    let case = format!("{policy:?} {named:?} {action:?}");
                    // An action that is open to other machines is open here.
                    assert!(elsewhere != Gate::Open || here == Gate::Open, "{case}");
                    // A secret that names the scope closes it for everybody.
                    for gate in [here, elsewhere] {
                        let closed = match action {
                            Action::Upload => named.name(Scope::Upload),
                            Action::Download => named.name(Scope::Download),
                            Action::List => named.name(Scope::List) || named.name(Scope::Download),
                            Action::Observe => named.name(Scope::Admin),
                            Action::Administer => true,
                        };
                        assert!(!closed || gate != Gate::Open, "{case}");
                        // Whatever is closed, an admin opens.
                        if let Gate::Secret(scope) = gate {
                            assert!(Scopes::from_iter([Scope::Admin]).allow(scope), "{case}");
                        }
                    }
                    // Another machine without a secret stores with `open` alone, and reads by id.
                    if elsewhere == Gate::Open {
                        let allowed = match action {
                            Action::Upload => policy.open,
                            action => action == Action::Download,
                        };
                        assert!(allowed, "{case}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_server_for_others_says_who_may_upload_and_for_how_long() {
        for policy in policies() {
            for held in all_scopes() {
                for (local, lifetime) in
                    [(true, true), (true, false), (false, true), (false, false)]
                {
                    let undecided = policy.undecided(held, local, lifetime);
                    let case = format!("{policy:?} {held:?} {local} {lifetime}: {undecided:?}");
                    let open = policy.gate(Action::Upload, held, false) == Gate::Open;
                    match undecided {
                        Some(Undecided::Uploads) => assert!(!local && !open, "{case}"),
                        Some(Undecided::Lifetime) => assert!(open && !lifetime, "{case}"),
                        None => assert!(
                            (local || open || held.allow(Scope::Upload)) && (!open || lifetime),
                            "{case}"
                        ),
                    }
                }
            }
        }
    }

    #[test]
    fn scopes_are_read_and_written_by_their_words() {
        for scope in Scope::ALL {
            assert_eq!(Scope::of_word(scope.word()), Some(scope));
        }
        assert_eq!(Scope::of_word("root"), None);
        let some = Scopes::from_iter([Scope::List, Scope::Upload]);
        assert_eq!(some.words(), "upload+list");
        assert!(some.allow(Scope::List) && !some.allow(Scope::Download));
        assert!(Scopes::from_iter([Scope::Admin]).allow(Scope::Download));
        assert!(!Scopes::from_iter([Scope::Admin]).name(Scope::Download));
    }
}
