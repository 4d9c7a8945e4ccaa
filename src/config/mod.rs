//! The settings: flags over environment over file over defaults, checked into the options of the
//! parts. Nothing here reads the environment or a file: both are handed in.

mod access;
mod aws;
mod file;
mod listen;
mod load;
mod settings;
mod typed;

pub use access::AccessRule;
pub use aws::Profiles;
pub use listen::{Endpoint, ListenAddress};
pub use load::{
    ConfigError, GivenSettings, Loaded, ReadFile, SettingOrigin, SettingValue, unknown_variables,
};
pub use settings::{SETTINGS, SHARING, STORAGE, Setting, SettingKind, SettingShape, find};
pub use typed::Config;
