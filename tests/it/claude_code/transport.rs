//! Claude Code over TLS: an authority of the operator's own, and a certificate of the laptop's.

use crate::claude_code::{check_kept, laptop, says};
use crate::support::conversation::Vendor;
use crate::support::tls::Authority;

#[tokio::test]
async fn certificates_of_both_sides_are_checked() {
    let (authority, laptops) = (Authority::new("operator"), Authority::new("laptops"));
    let upstream = Vendor::Anthropic.play(|_| says("Hello over TLS.")).await;
    let more = ", client_ca = \"clients.pem\", client_certificate = \"required\"";
    let setup = Vendor::Anthropic
        .setup(&upstream)
        .tls(&authority.server(&["127.0.0.1"]), more)
        .file("clients.pem", &laptops.pem());
    let mut gateway = setup.start().await;
    gateway.tls = Some(authority.trusting_client(&["http/1.1"], None));
    let (claude, key) = laptop(&gateway).await;
    let own = laptops.client("ada's laptop", "laptop.acme.test");
    let claude = claude
        .set("ANTHROPIC_BASE_URL", &format!("https://{}", gateway.address))
        .set("CLAUDE_CODE_MAX_RETRIES", "0");

    let printed = claude.print(&[], "hello").await;
    assert!(
        printed.failed().contains("certificate"),
        "an unknown authority: {printed:#?}"
    );
    let claude = claude.with_file("NODE_EXTRA_CA_CERTS", "ca.pem", &authority.pem());
    printed_without_a_certificate(&claude.print(&[], "hello").await);
    let claude = claude
        .with_file("CLAUDE_CODE_CLIENT_CERT", "own.crt", &own.certificate)
        .with_file("CLAUDE_CODE_CLIENT_KEY", "own.key", &own.key);
    assert_eq!(upstream.connections(), 0, "nobody came through so far");
    let printed = claude.print(&[], "hello").await;
    assert_eq!(printed.ok(), "Hello over TLS.");
    check_kept(&gateway, &upstream, &key, &printed).await;
}

/// The handshake fails, and what the client makes of that is its own business.
fn printed_without_a_certificate(printed: &crate::support::claude::Printed) {
    assert!(printed.failed().starts_with("API Error"), "{printed:#?}");
}
