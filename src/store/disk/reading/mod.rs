//! Reading what is stored.

pub mod blob;
pub mod blocks;
pub mod fd_cache;
