//! The settings: flags over environment over file over defaults, checked into the options of the
//! parts. Nothing here reads the environment or a file: both are handed in.

mod aws;
mod load;
mod settings;
mod typed;

pub use aws::Profiles;
pub use load::{
    ConfigError, GivenSettings, Loaded, SettingOrigin, SettingValue, unknown_variables,
};
pub use settings::{SETTINGS, Setting, SettingKind, find};
pub use typed::{Config, ListenAddress};
