//! Names as segments of paths.

use std::fmt::Write as _;

/// A name as one segment of a path (RFC 3986, 3.3): whatever is neither unreserved nor one of `kept` is
/// percent-encoded. What is kept differs between vendors, whose own clients send it bare.
pub(super) fn segment(name: &str, kept: &[u8]) -> String {
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || kept.contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing into a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_could_end_a_segment_is_encoded() {
        assert_eq!(
            segment("a/b?c#d:0@1 ü%", b""),
            "a%2Fb%3Fc%23d%3A0%401%20%C3%BC%25"
        );
        assert_eq!(segment("m@1/x", b"@"), "m@1%2Fx");
    }
}
