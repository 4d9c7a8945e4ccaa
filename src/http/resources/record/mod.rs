//! An upload as JSON: the same object wherever it is shown. It is written piece by piece as its
//! reader takes it: names and texts of a form are six times as long where all of them is escaped, and
//! a thousand readers may take their time.

mod answer;
mod grouping;
mod members;
mod piece;
mod text;

pub use answer::link;
pub use members::{
    SEGMENT, address, archive_url, file_url, form_url, only_file, summary, upload_url,
};
pub use piece::is_full;
pub use text::RecordText;
