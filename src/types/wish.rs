//! What a supervisor tells the gateway through its standard input, one byte each.

/// Read the configuration again.
pub const RELOAD: u8 = b'r';

/// Finish what is running, within the drain deadline, and end.
pub const STOP: u8 = b's';

/// End now.
pub const STOP_AT_ONCE: u8 = b'S';
