//! One suite over every way in and every kind of upstream: each client of the rows meets each upstream of
//! `support/columns.rs`, and what is written down is the same on all of them.
//!
//! A cell that does not exist is named with its reason, in [`Column::lacks`](crate::support::columns::Column::lacks).

mod agents;
mod ledger;
mod sdks;
mod switches;
