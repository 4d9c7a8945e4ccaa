//! Reading stored files: in blocks, from the page cache where it has them, small ones through a
//! cache of open files, and large ones in spans that the kernel sends by itself.

pub mod blob;
pub mod blocks;
pub mod cached;
pub mod fd_cache;
pub mod span;
