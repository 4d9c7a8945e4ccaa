//! wharf: a server for `multipart/form-data`, in both directions. A form posted to `/upload` is
//! stored as one unit, all of it or nothing, and `/download/NAME` gives it back as a form.
//!
//! # The modules
//!
//! Each imports only from those above it.
//!
//! - [`log`]: lines on their way to standard error; a log that stands still delays no request.
//! - [`model`]: pure types, parsed once: ids, file names, digests, manifests, times.
//! - [`form`]: the grammar of `multipart/form-data`, both ways, sans I/O.
//! - [`archive`]: ZIP and tar files around stored contents, sans I/O.
//! - [`operators_files`]: files that settings name.
//! - [`buffers`], [`hashing`]: memory for blocks that is used again; digests beside a transfer.
//! - [`measure`]: how long Redis and the bucket take to answer.
//! - [`store`]: bytes and manifests; [`store::disk`] keeps them in a directory, [`store::object`]
//!   in a bucket.
//! - [`coordination`]: connections to Redis or a Redis Cluster, and the messages it sends.
//! - [`catalog`]: the index over the manifests, as small ports; embedded on one machine, in Redis
//!   for several.
//! - [`lease`]: the election of the one instance that cleans up.
//! - [`repository`]: store and index as one, and the order in which both change.
//! - [`ingest`]: the upload as a use case: parts to files, one commit, a receipt.
//! - [`delivery`]: the download as a use case: the upload or file of a name, representations,
//!   streams.
//! - [`manage`]: the changes of an upload as a use case: the permission, the deadline, the end.
//! - [`expiry`]: the cleaner, which removes expired uploads.
//! - [`reconcile`]: the comparison of index and store, and the removal of files that crashes left.
//! - [`operate`]: what operators ask as a use case: readiness, figures, a comparison by hand.
//! - [`http`]: routes, headers, status codes, connections.
//! - [`client`]: the same forms from the other end: upload, download, progress.
//! - [`app`]: the composition of the parts; [`shutdown`]: how they end; [`supervise`]: what the
//!   service manager is told.
//! - [`config`]: settings, checked into the options of the parts.
//! - [`cli`]: the commands.
//!
//! # The features
//!
//! `cli` (the default) is all of it: the command. `server` is everything below [`cli`] but the
//! client, `client` is [`client`] and what it stands on: [`model`], [`form`], [`buffers`],
//! [`hashing`].
//!
//! # For programs
//!
//! [`client`] and [`form`], and the types of [`model`] that they name, are the interface of the
//! library; a test compares it with a snapshot. The other modules are public for the command, the
//! benchmarks and the fuzzers, and change with the server.
//!
//! # One uploaded byte
//!
//! A connection stays on one thread, which has a runtime of its own. A frame comes from hyper to
//! [`http`], which has settled limits and `Expect` from the head. [`form::Decoder`] finds the edges
//! of the parts and hands slices of the very frame on. [`ingest`] keeps text and gives files to a
//! [`store::FileSink`], which writes them in blocks as large as the frames are, and hashes each
//! beside the writing and the coming of the next; small files wait in a bounded buffer. A call that
//! would block leaves the thread. At the clean end of the body [`store::Staged::commit`] names the
//! files, syncs all content, links the manifest, syncs the names: as a task of the [`repository`],
//! which no disconnect cuts. Then the [`catalog`] records it, and 201 goes out. A body that stops
//! short is an error, and nothing is visible of it.
//!
//! # One downloaded byte
//!
//! [`delivery`] finds what a name means in the catalog, and the manifest in a cache or the store.
//! From manifests alone it lays out a [`delivery::Representation`]: exact length, `ETag`, boundary.
//! [`http`] evaluates preconditions and ranges on it, opens the first block before the head is
//! sent, and streams the blocks; large files over plain HTTP/1.1 the kernel sends by itself, below
//! hyper. An error after the head breaks the connection: nothing short looks whole.
//!
//! # The other end
//!
//! [`client::Upload`] writes the heads of its parts beforehand, so that the length is known, and
//! the body reads file after file while it is sent; a file that is not what it was breaks it off
//! before the close delimiter. [`client::Download`] reads one stream, whatever connections it
//! comes by: where one breaks, the next begins at that byte of the representation, and the
//! [`form::Decoder`] does not notice. A file is written under a temporary name, hashed beside if it
//! has a digest to be compared with, and renamed when length and digest agree.
//!
//! # One expiry
//!
//! The [`lease`] publishes a claim. [`expiry::Expiry`] sleeps until the next deadline, and for
//! each upload that is due reads its manifest and removes it: where several instances have the
//! store, a tombstone takes the manifest's place, and only then the files are removed; then the
//! entry in the catalog. A crash between any two of these steps is repaired by [`reconcile`]: it
//! removes an entry without a manifest and a file without one, and finishes a removal that a
//! tombstone has begun.

// Outside tests an invariant is put into words with `expect`.
#![warn(clippy::unwrap_used)]
// They panic where the output is closed: a log line goes through `tracing`, the rest by `writeln!`.
#![cfg_attr(not(test), deny(clippy::print_stderr, clippy::print_stdout))]

#[cfg(feature = "server")]
pub mod app;
#[cfg(feature = "server")]
pub mod archive;
pub mod buffers;
#[cfg(feature = "server")]
pub mod catalog;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "server")]
pub mod config;
#[cfg(feature = "server")]
pub mod coordination;
#[cfg(feature = "server")]
pub mod delivery;
#[cfg(feature = "server")]
pub mod expiry;
pub mod form;
pub mod hashing;
#[cfg(feature = "server")]
pub mod http;
#[cfg(feature = "server")]
pub mod ingest;
#[cfg(feature = "server")]
pub mod lease;
#[cfg(feature = "server")]
pub mod log;
#[cfg(feature = "server")]
pub mod manage;
#[cfg(feature = "server")]
pub mod measure;
pub mod model;
#[cfg(feature = "server")]
pub mod operate;
#[cfg(feature = "server")]
pub mod operators_files;
#[cfg(feature = "server")]
pub mod reconcile;
#[cfg(feature = "server")]
pub mod repository;
#[cfg(feature = "server")]
pub mod shutdown;
#[cfg(feature = "server")]
pub mod store;
#[cfg(feature = "server")]
pub mod supervise;
