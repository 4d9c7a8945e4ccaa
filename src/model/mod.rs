//! Pure types, parsed once: an id, a name or a digest that exists is a good one. No I/O.

mod digest;
mod doubt;
mod downloads;
mod failure;
mod file_name;
mod file_path;
mod id;
mod layout;
mod limit;
mod manifest;
pub mod media_type;
mod members;
mod older_paths;
mod plain;
mod raw;
mod room;
#[cfg(test)]
mod sample;
mod secrets;
mod stored;
mod suggest;
mod time;
mod title;
mod unique_names;
pub mod units;

pub use digest::{Digest, DigestHeaderError, expected_sha256};
pub use doubt::Doubt;
pub use downloads::Portion;
pub use failure::{Component, Failure, is_full};
pub use file_name::{FileName, FileNameError};
pub use file_path::{FilePath, FilePathError, UniquePaths};
pub use id::{IdBeginning, IdError, Prefix, UploadId};
pub use layout::{FIRST_SCHEMA, SECOND_SCHEMA};
pub use limit::{Bound, Limit};
pub use manifest::{Field, Manifest, Part, StoredFile};
pub use members::Members;
pub use plain::{is_active, plain, plain_json};
pub use raw::{RawText, display_name};
pub use room::{ROOM_UNIT, room_of};
pub use secrets::{Salt, TokenHash};
pub use stored::{Reason, Stored, Tombstone};
pub use suggest::closest;
#[cfg(feature = "server")]
pub use time::Uptime;
pub use time::{Clock, TimeError, Timestamp};
pub use title::{Title, TitleError};
pub use unique_names::UniqueNames;
