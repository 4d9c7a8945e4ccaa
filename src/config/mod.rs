//! The settings: flags over environment over file over defaults, checked into the options of the
//! parts. Nothing here reads the environment or a file: both are handed in.

mod aws;
mod load;
mod settings;
mod typed;

pub use aws::Profiles;
pub use load::{ConfigError, Given, Loaded, Origin, Value, unknown_variables};
pub use settings::{Kind, SETTINGS, Setting, find};
pub use typed::{Config, ListenAddress};
