//! How the commands of the index write a time, and what their errors mean.

use redis::{ErrorKind, ServerErrorKind};

use crate::catalog::CatalogError;
use crate::coordination;
use crate::model::Timestamp;

pub fn millis(time: Timestamp) -> String {
    time.as_millis().to_string()
}

/// The meaning of a failed command: an error of the command itself stays; every other error passes,
/// such as one of the connection, or of a server that is loading.
pub fn failed(error: coordination::Error) -> CatalogError {
    match error.kind() {
        ErrorKind::Server(ServerErrorKind::ResponseError) | ErrorKind::UnexpectedReturnType => {
            CatalogError::Failed(Box::new(error))
        }
        _ => CatalogError::Unavailable(error.to_string()),
    }
}
