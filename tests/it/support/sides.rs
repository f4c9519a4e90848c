//! Which protocol is spoken on either side of the gateway.

use crate::support::gateway::{Gateway, Protocol};
use crate::support::setup::Setup;

/// The protocols towards the client and towards the upstream.
#[derive(Clone, Copy, Debug)]
pub struct Sides {
    /// What clients speak.
    pub client: Protocol,
    /// What upstreams are spoken to in.
    pub upstream: Protocol,
}

impl Sides {
    /// Every combination.
    pub const ALL: [Self; 4] = [
        Self::of(Protocol::Http1, Protocol::Http1),
        Self::of(Protocol::Http2, Protocol::Http1),
        Self::of(Protocol::Http1, Protocol::Http2),
        Self::of(Protocol::Http2, Protocol::Http2),
    ];

    const fn of(client: Protocol, upstream: Protocol) -> Self {
        Self { client, upstream }
    }

    /// Starts a gateway whose clients and upstreams, added by `configure`, speak these.
    pub async fn start(self, configure: impl FnOnce(Setup) -> Setup) -> Gateway {
        let setup = Setup::new().set("server", "h2c", "true");
        let setup = match self.upstream {
            Protocol::Http1 => setup,
            Protocol::Http2 => setup.each_upstream("http2 = \"only\"\n"),
        };
        let mut gateway = configure(setup).start().await;
        gateway.protocol = self.client;
        gateway
    }
}
