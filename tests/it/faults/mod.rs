//! Faults with real processes: what is served, refused, recorded and billed meanwhile, and how the
//! gateway is afterwards. Tests of upstreams, clients and reloads print their rows of the table in `docs/reliability.md`.
//!
//! `TOLLGATE_LONG=1` asks for the sizes of `scripts/check --long`.

mod clients;
mod clock;
mod disk;
mod load;
mod memory;
mod reloads;
mod toll;
mod upstreams;

/// Whether the long sizes are asked for.
fn is_long() -> bool {
    std::env::var("TOLLGATE_LONG").is_ok_and(|text| text == "1")
}
