//! The real binary, over real sockets, with real clients.

mod support;

mod access;
mod away;
mod browser;
mod check;
mod client;
mod client_download;
mod client_errors;
mod client_foreign;
mod client_resume;
mod client_terminal;
mod client_transport;
mod clients;
mod cluster;
mod crash;
mod disk;
mod download;
mod election;
mod errors;
mod events;
mod faults;
mod faulty;
mod floors;
mod instances;
mod lost;
mod many;
mod names;
mod operate;
mod options;
mod page;
mod proxy;
mod readme;
mod slow;
mod upload;
mod widgets;
