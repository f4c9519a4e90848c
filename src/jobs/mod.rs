//! Work in the background of a node. Each job is a future that `server` owns and joins.

pub mod coalesced;
pub mod shipper;
