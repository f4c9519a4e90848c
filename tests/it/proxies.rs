//! Proxies on either side: those that speak for clients, and the one that leads out.

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::support::anthropic_sim;
use crate::support::aws_sim::{self, Lender};
use crate::support::bedrock_sim::{self, REGION};
use crate::support::client::{Call, Connection, GATEWAY_NAME};
use crate::support::gateway::{Gateway, Protocol};
use crate::support::prompt::ask;
use crate::support::records::recorded_peer;
use crate::support::setup::{MODEL, Setup};
use crate::support::tls::Authority;

/// The address that is recorded for a request with this header.
async fn recorded_address(gateway: &Gateway, key: &str, forwarded: &str) -> Value {
    let call = Call::messages(key, &ask("hello")).header("X-Forwarded-For", forwarded);
    let answer = gateway.call(&call).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    recorded_peer(gateway, &answer.request_id()).await["address"].clone()
}

#[tokio::test]
async fn a_client_cannot_choose_its_address() {
    let sim = anthropic_sim::start().await;
    let gateway = Setup::anthropic(&sim).start().await;
    let key = gateway.any_key().await;
    assert_eq!(recorded_address(&gateway, &key, "203.0.113.9").await, "127.0.0.1");
}

#[tokio::test]
async fn a_trusted_proxy_names_the_client_and_what_stands_left_of_it_is_ignored() {
    let sim = anthropic_sim::start().await;
    let mut gateway = Setup::anthropic(&sim)
        .set("server", "trusted_proxies", "[\"127.0.0.0/8\", \"10.0.0.0/8\"]")
        .set("server", "h2c", "true")
        .start()
        .await;
    let key = gateway.any_key().await;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        gateway.protocol = protocol;
        for (forwarded, expected) in [
            ("203.0.113.9", "203.0.113.9"),
            ("198.51.100.1, 203.0.113.9", "203.0.113.9"),
            ("198.51.100.1, 203.0.113.9, 10.1.2.3", "203.0.113.9"),
            ("not an address", "127.0.0.1"),
        ] {
            let recorded = recorded_address(&gateway, &key, forwarded).await;
            assert_eq!(recorded, expected, "{protocol:?}: {forwarded}");
        }
    }
}

/// A PROXY header of version 2 for 203.0.113.9:4711.
const ANNOUNCED: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x09\x7f\x00\x00\x01\x12\x67\x1f\x90";

#[tokio::test]
async fn a_proxy_header_is_believed_from_trusted_proxies() {
    let sim = anthropic_sim::start().await;
    let gateway = Setup::anthropic(&sim)
        .set("server", "trusted_proxies", "[\"127.0.0.1\"]")
        .set("server", "proxy_protocol", "true")
        .set("server", "h2c", "true")
        .start()
        .await;
    let key = gateway.any_key().await;
    let call = Call::messages(&key, &ask("hello"));

    let mut connection = gateway.connect().await;
    connection.send(ANNOUNCED).await;
    for _ in 0..2 {
        let answer = connection.call(&call).await;
        assert_eq!(answer.status, 200);
        let peer = recorded_peer(&gateway, &answer.request_id()).await;
        assert_eq!(peer["address"], "203.0.113.9");
    }
    let mut connection = gateway.connect().await;
    connection.send(ANNOUNCED).await;
    let answer = connection
        .http2()
        .await
        .expect("HTTP/2 follows")
        .call(&call)
        .await;
    let peer = recorded_peer(&gateway, &answer.request_id()).await;
    assert_eq!(peer["address"], "203.0.113.9");

    // The announced client is not trusted itself: its own header changes nothing.
    let mut connection = gateway.connect().await;
    connection.send(ANNOUNCED).await;
    let answer = connection
        .call(&call.clone().header("x-forwarded-for", "198.51.100.1"))
        .await;
    let peer = recorded_peer(&gateway, &answer.request_id()).await;
    assert_eq!(peer["address"], "203.0.113.9");

    let mut without = gateway.connect().await;
    without.send(&call.head_bytes()).await;
    without.send(&call.body_bytes()).await;
    assert!(
        without.rest().await.is_empty(),
        "a proxy that does not announce is closed"
    );
}

#[tokio::test]
async fn a_proxy_header_comes_before_tls() {
    let authority = Authority::new("listener");
    let sim = anthropic_sim::start().await;
    let gateway = Setup::anthropic(&sim)
        .tls(&authority.server(&[GATEWAY_NAME]), "")
        .set("server", "trusted_proxies", "[\"127.0.0.1\"]")
        .set("server", "proxy_protocol", "true")
        .start()
        .await;
    let key = gateway.any_key().await;
    let config = authority.trusting_client(&["http/1.1"], None);
    let begun = Connection::open_tls_after(gateway.address, ANNOUNCED, config).await;
    let answer = begun
        .expect("the handshake succeeds")
        .call(&Call::messages(&key, &ask("hello")))
        .await;
    let peer = recorded_peer(&gateway, &answer.request_id()).await;
    assert_eq!(peer["address"], "203.0.113.9");
}

#[tokio::test]
async fn a_proxy_header_from_anybody_else_is_a_malformed_request() {
    let sim = anthropic_sim::start().await;
    let expecting = Setup::anthropic(&sim)
        .set("server", "trusted_proxies", "[\"10.0.0.0/8\"]")
        .set("server", "proxy_protocol", "true")
        .start()
        .await;
    let plain = Setup::anthropic(&sim)
        .set("server", "trusted_proxies", "[\"127.0.0.1\"]")
        .start()
        .await;
    for gateway in [expecting, plain] {
        let call = Call::messages(&gateway.any_key().await, &ask("hello"));
        let before = sim.count();
        let mut connection = gateway.connect().await;
        connection.send(ANNOUNCED).await;
        connection.send(&call.head_bytes()).await;
        connection.send(&call.body_bytes()).await;
        let said = String::from_utf8_lossy(&connection.rest().await).into_owned();
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 400"), "{said}");
        assert_eq!(sim.count(), before, "nothing is forwarded");
        let answer = gateway.call(&call).await;
        assert_eq!(answer.status, 200, "who announces nothing is served");
        let peer = recorded_peer(&gateway, &answer.request_id()).await;
        assert_eq!(peer["address"], "127.0.0.1");
    }
}

/// A forward proxy that opens every tunnel to loopback, and tells what it was asked.
struct ForwardProxy {
    url: String,
    asked: mpsc::UnboundedReceiver<String>,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for ForwardProxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl ForwardProxy {
    /// One that wants this header, if any.
    async fn start(wanted: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (told, asked) = mpsc::unbounded_channel();
        let serving = tokio::spawn(async move {
            let mut tunnels = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                tunnels.spawn(tunnel(stream, told.clone(), wanted));
            }
        });
        Self {
            url: format!("http://{address}"),
            asked,
            serving,
        }
    }

    /// Everything that it was asked so far.
    fn asked(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.asked.try_recv().ok()).collect()
    }
}

async fn tunnel(mut client: TcpStream, told: mpsc::UnboundedSender<String>, wanted: Option<&str>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.expect("a head"));
    }
    let head = String::from_utf8(head).expect("text");
    let target = head.split(' ').nth(1).expect("a target").to_owned();
    told.send(head.clone()).expect("the test listens");
    let answer = match wanted.is_none_or(|line| head.contains(line)) {
        true => "HTTP/1.1 200 Connection established\r\n\r\n",
        false => "HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n",
    };
    client.write_all(answer.as_bytes()).await.expect("an open client");
    let port = target.rsplit(':').next().expect("a port");
    if let Ok(mut server) = TcpStream::connect(format!("127.0.0.1:{port}")).await
        && answer.contains("200")
    {
        let _ = copy_bidirectional(&mut client, &mut server).await;
    }
}

#[tokio::test]
async fn everything_leaves_through_the_forward_proxy() {
    let authority = Authority::new("upstreams");
    let tls = crate::support::upstream::Upstream::start_tls(
        anthropic_sim::respond,
        authority.accepting(&["upstream.test"], &["h2", "http/1.1"], None),
    )
    .await;
    let plain = anthropic_sim::start().await;
    // The RFC's own example of a credential (RFC 7617, 2).
    let mut proxy = ForwardProxy::start(Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")).await;
    let named = format!("https://upstream.test:{}", tls.address().port());
    let gateway = Setup::new()
        .set("egress", "proxy", &format!("\"{}\"", proxy.url))
        .set("egress", "proxy_credential_secret", "\"login\"")
        .set("secrets", "login", "\"file:login\"")
        .file("login", "Aladdin:open sesame\n")
        .file("ca.pem", &authority.pem())
        .upstream("named", "anthropic", &named)
        .table("ca = \"ca.pem\"\n")
        .upstream("plain", "anthropic", &plain.url())
        .model(MODEL)
        .model("claude-plain")
        .route("claude-plain", &["plain"], Some(MODEL))
        .route("claude-*", &["named"], None)
        .start()
        .await;
    let key = gateway.any_key().await;
    for _ in 0..2 {
        let answer = gateway.call(&Call::messages(&key, &ask("hello"))).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    // Nobody but the proxy could have found that name.
    assert_eq!(tls.count(), 2);
    let target = format!("CONNECT upstream.test:{} HTTP/1.1", tls.address().port());
    let asked = proxy.asked();
    assert_eq!(asked.len(), 1, "the tunnel is kept: {asked:?}");
    assert!(asked[0].starts_with(&target), "{asked:?}");
    let mut other = ask("hello");
    other["model"] = "claude-plain".into();
    assert_eq!(gateway.call(&Call::messages(&key, &other)).await.status, 200);
    assert!(proxy.asked()[0].starts_with(&format!("CONNECT {} ", plain.address())));
    let log = gateway.log();
    assert!(!log.contains("sesame") && !log.contains("QWxhZGRpbjp"), "{log}");
}

#[tokio::test]
async fn exceptions_go_straight_and_a_refusing_proxy_is_a_failed_attempt() {
    let sim = anthropic_sim::start().await;
    let mut proxy = ForwardProxy::start(Some("a credential that we do not have")).await;
    let url = format!("\"{}\"", proxy.url);
    let gateway = Setup::anthropic(&sim).set("egress", "proxy", &url).start().await;
    let key = gateway.any_key().await;
    let answer = gateway.call(&Call::messages(&key, &ask("hello"))).await;
    assert_eq!((answer.status, sim.count()), (502, 0));
    assert!(!proxy.asked().is_empty());
    let gateway = Setup::anthropic(&sim)
        .set("egress", "proxy", &url)
        .set("egress", "no_proxy", "[\"127.0.0.0/8\"]")
        .start()
        .await;
    let key = gateway.any_key().await;
    let answer = gateway.call(&Call::messages(&key, &ask("hello"))).await;
    assert_eq!((answer.status, sim.count()), (200, 1));
    assert!(proxy.asked().is_empty());
}

#[tokio::test]
async fn token_endpoints_are_reached_through_the_forward_proxy_too() {
    let authority = Authority::new("services");
    let lender = Lender::new(3_600);
    let service = crate::support::upstream::Upstream::start_tls(
        move |got| lender.assume(got),
        authority.accepting(&["sts.test"], &["http/1.1"], None),
    )
    .await;
    let bedrock = bedrock_sim::start().await;
    let mut proxy = ForwardProxy::start(None).await;
    let at = format!("https://sts.test:{}", service.address().port());
    let run = async |ca: &str, proxy: &str| {
        let setup = Setup::new()
            .set("egress", "proxy", &format!("\"{proxy}\""))
            .set("egress", "no_proxy", "[\"127.0.0.0/8\"]")
            .file("ca.pem", &authority.pem())
            .file("identity", aws_sim::IDENTITY)
            .table(&format!(
                "[[upstream]]\nname = \"sim\"\nprovider = \"bedrock\"\nendpoint = \"{}\"\n{ca}\
                 credentials = \"platform\"\noptions = {{ region = \"{REGION}\", sts_endpoint = \"{at}\" }}\n",
                bedrock.url()
            ))
            .model(MODEL)
            .route("claude-*", &["sim"], None);
        let identity = setup.path("identity");
        let gateway = setup
            .variable("AWS_WEB_IDENTITY_TOKEN_FILE", &identity)
            .variable("AWS_ROLE_ARN", aws_sim::ROLE)
            .start()
            .await;
        let key = gateway.any_key().await;
        gateway.call(&Call::messages(&key, &ask("hello"))).await.status
    };
    assert_eq!(run("ca = \"ca.pem\"\n", &proxy.url).await, 200);
    let asked = proxy.asked();
    assert!(
        asked[0].starts_with(&format!("CONNECT sts.test:{} ", service.address().port())),
        "{asked:?}"
    );
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!(
        run("", &proxy.url).await,
        502,
        "an authority that nobody named is not trusted"
    );
    assert_eq!(
        run("ca = \"ca.pem\"\n", "").await,
        502,
        "nobody but the proxy finds that name"
    );
    assert_eq!(service.count(), 1);
}
