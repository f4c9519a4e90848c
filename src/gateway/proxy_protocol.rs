//! The PROXY protocol, version 2: a trusted load balancer says first for whom it connects.
//!
//! <https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt>, section 2.2. It is read only where
//! it is configured, and only from trusted proxies; from anybody else it is a malformed request.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::listeners::PreTlsProcess;
use pingora_core::protocols::l4::socket::SocketAddr as PeerAddress;
use pingora_core::protocols::l4::stream::Stream;
use pingora_core::protocols::{GetSocketDigest as _, SocketDigest};
use pingora_error::{Error, ErrorType, OrErr, Result};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::gateway::Gateway;

/// What every header begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// The longest header after its fixed part, in bytes: addresses and a few extensions.
const REST_BYTES_MAX: u16 = 2048;

/// How long a trusted proxy may take for it.
const DEADLINE: Duration = Duration::from_secs(5);

/// Reads the header of connections that come from trusted proxies.
pub struct ProxyProtocol(Arc<Gateway>);

impl ProxyProtocol {
    /// For connections to this gateway.
    pub const fn new(gateway: Arc<Gateway>) -> Self {
        Self(gateway)
    }
}

#[async_trait]
impl PreTlsProcess for ProxyProtocol {
    async fn process(&self, stream: &mut Stream) -> Result<()> {
        let digest = stream.get_socket_digest();
        let connected = digest.as_ref().and_then(|digest| digest.peer_addr()?.as_inet());
        let Some(connected) = connected else {
            return Error::e_explain(ErrorType::AcceptError, "a connection without an address");
        };
        if !self.0.snapshot.load().trusted.trusts(connected.ip()) {
            return Ok(());
        }
        let read = tokio::time::timeout(DEADLINE, read(stream)).await;
        let said = read.or_err(ErrorType::AcceptError, "no PROXY header in time")??;
        if let Some(client) = said {
            let digest = SocketDigest::from_raw_fd(stream.as_raw_fd());
            let _ = digest.peer_addr.set(Some(PeerAddress::Inet(client)));
            stream.set_socket_digest(digest);
        }
        Ok(())
    }
}

/// Reads a header and not a byte more: the address of the client, or none where the proxy speaks
/// for itself (a health check) or does not know.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<SocketAddr>> {
    let broken = "the PROXY header broke off";
    let malformed = || Error::explain(ErrorType::AcceptError, "not a PROXY header of version 2");
    let mut fixed = [0; 16];
    let read = stream.read_exact(&mut fixed).await;
    read.or_err(ErrorType::AcceptError, broken)?;
    let [signature @ .., version, family, high, low] = fixed;
    let length = u16::from_be_bytes([high, low]);
    if &signature != SIGNATURE || length > REST_BYTES_MAX {
        return Err(malformed());
    }
    let mut rest = vec![0; usize::from(length)];
    let read = stream.read_exact(&mut rest).await;
    read.or_err(ErrorType::AcceptError, broken)?;
    match version {
        // LOCAL: the proxy asks for itself.
        0x20 => Ok(None),
        0x21 => addresses(family, &rest).ok_or_else(malformed),
        _ => Err(malformed()),
    }
}

/// The source of a TCP connection; `None` where what is announced is too short for its family.
fn addresses(family: u8, rest: &[u8]) -> Option<Option<SocketAddr>> {
    match family {
        // TCP over IPv4: source, destination, ports.
        0x11 => {
            let (source, _) = rest.split_first_chunk::<4>()?;
            let port = rest.get(8..10)?.first_chunk::<2>()?;
            rest.get(..12)?;
            let address = IpAddr::V4(Ipv4Addr::from(*source));
            Some(Some(SocketAddr::new(address, u16::from_be_bytes(*port))))
        }
        // TCP over IPv6.
        0x21 => {
            let (source, _) = rest.split_first_chunk::<16>()?;
            let port = rest.get(32..34)?.first_chunk::<2>()?;
            rest.get(..36)?;
            let address = IpAddr::V6(Ipv6Addr::from(*source));
            Some(Some(SocketAddr::new(address, u16::from_be_bytes(*port))))
        }
        _ => Some(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn headers_are_read_to_their_end_and_no_further() {
        let check = async |version: u8, family: u8, rest: &[u8], expected: Option<Option<&str>>| {
            let mut bytes = SIGNATURE.to_vec();
            bytes.extend_from_slice(&[version, family]);
            bytes.extend_from_slice(&u16::try_from(rest.len()).unwrap().to_be_bytes());
            bytes.extend_from_slice(rest);
            bytes.extend_from_slice(b"GET /");
            let mut input = bytes.as_slice();
            let found = read(&mut input).await;
            match expected {
                None => assert!(found.is_err(), "{version:x} {family:x}"),
                Some(address) => {
                    assert_eq!(found.unwrap(), address.map(|text| text.parse().unwrap()));
                    assert_eq!(input, b"GET /", "{version:x} {family:x}");
                }
            }
        };
        let v4 = [203, 0, 113, 9, 10, 0, 0, 1, 0x12, 0x67, 0x01, 0xbb];
        check(0x21, 0x11, &v4, Some(Some("203.0.113.9:4711"))).await;
        let with_extension = [&v4[..], &[0x04, 0, 1, 0]].concat();
        check(0x21, 0x11, &with_extension, Some(Some("203.0.113.9:4711"))).await;
        let mut v6 = [0; 36];
        v6[..2].copy_from_slice(&[0x20, 0x01]);
        v6[15] = 7;
        v6[32..34].copy_from_slice(&[0, 80]);
        check(0x21, 0x21, &v6, Some(Some("[2001::7]:80"))).await;
        check(0x20, 0x11, &v4, Some(None)).await;
        check(0x21, 0x00, &[], Some(None)).await;
        check(0x21, 0x31, &[0; 216], Some(None)).await;
        check(0x11, 0x11, &v4, None).await;
        check(0x21, 0x11, &v4[..11], None).await;
        check(0x21, 0x21, &v6[..35], None).await;
        check(0x21, 0x11, &[0; 2049], None).await;
        assert!(
            read(&mut &b"PROXY TCP4 203.0.113.9 10.0.0.1 4711 443\r\n"[..])
                .await
                .is_err()
        );
        assert!(read(&mut &SIGNATURE[..]).await.is_err());
    }
}
