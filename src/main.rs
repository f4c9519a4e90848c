//! Entry of the `tollgate` binary.

fn main() {}
