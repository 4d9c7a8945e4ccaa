//! Reading stored files: in blocks, from the page cache where it has them, and small ones through
//! a cache of open files.

pub mod blob;
pub mod blocks;
pub mod fd_cache;
