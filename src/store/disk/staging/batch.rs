//! Small files on their way from an upload's memory to the disk.

use std::ops::Range;
use std::sync::Arc;

use tokio::task::JoinHandle;

use super::Content;
use crate::model::UploadId;
use crate::store::StoreError;
use crate::store::disk::Inner;
use crate::store::disk::threads::{Disk, joined};

/// Files that a thread makes and writes, while the upload receives others.
#[derive(Debug)]
pub struct Batch {
    /// Which of the upload's files they are among.
    pub among: Range<usize>,
    task: JoinHandle<Result<Written, StoreError>>,
}

/// What a batch has come to.
#[derive(Debug)]
pub struct Written {
    /// The memory they were in, empty.
    pub memory: Vec<u8>,
    /// Where they are now, in their order.
    pub contents: Vec<Content>,
}

impl Batch {
    /// Begins to write the files of the upload `id` that lie at `ranges` of `memory`.
    pub fn begin(
        disk: &Disk,
        id: UploadId,
        mut memory: Vec<u8>,
        ranges: Vec<Range<usize>>,
        among: Range<usize>,
    ) -> Self {
        let task = disk.start(move |inner: &Arc<Inner>| {
            let write = |range| {
                let (file, content) = inner.create(&id)?;
                file.write_at(inner, &memory[range], 0)?;
                Ok(content)
            };
            let contents = ranges.into_iter().map(write);
            let contents = contents.collect::<Result<_, StoreError>>()?;
            memory.clear();
            Ok(Written { memory, contents })
        });
        Batch { among, task }
    }

    /// Waits for the last of them.
    pub async fn written(self) -> Result<Written, StoreError> {
        joined(self.task).await
    }
}
