//! How the gateway gets to PostgreSQL: TLS that verifies, and a password that nobody sees.

use crate::support::gateway::{Output, run};
use crate::support::home::Home;
use crate::support::pg_server::PgServer;
use crate::support::setup::Setup;
use crate::support::tls::Authority;

const PASSWORD: &str = "canary-4f1e8c-correct-horse";

/// A server that speaks TLS only, with a certificate for `localhost`, and wants a password.
async fn server(authority: &Authority) -> PgServer {
    let pair = authority.server(&["localhost"]);
    let access = "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n";
    let files = [
        ("pg_hba.conf", access),
        ("server.crt", pair.certificate.as_str()),
        ("server.key", pair.key.as_str()),
    ];
    let settings = ["ssl=on", "ssl_cert_file=server.crt", "ssl_key_file=server.key"];
    let server = PgServer::with_files(&files, &settings).await;
    server.psql(&format!("ALTER ROLE tollgate PASSWORD '{PASSWORD}'"));
    server
}

/// A configuration with this URL, where `{ca}` is a file with this authority.
fn configured(url: &str, authority: &Authority, password: &str) -> (Home, Vec<(String, String)>) {
    let setup = Setup::new().file("ca.pem", &authority.pem());
    let ca = setup.path("ca.pem");
    setup
        .set("store", "url", &format!("\"{}\"", url.replace("{ca}", &ca)))
        .set("store", "password_secret", "\"store_password\"")
        .set("secrets", "store_password", "\"env:STORE_PASSWORD\"")
        .variable("STORE_PASSWORD", password)
        .write()
}

/// Reads the ledger, which needs the store and nothing else.
async fn tail(home: &Home, environment: &[(String, String)]) -> Output {
    let config = home.join("tollgate.toml");
    run(
        &["--config", config.to_str().unwrap(), "ledger", "tail"],
        environment,
    )
    .await
}

#[tokio::test]
async fn a_server_is_verified_and_its_password_is_never_shown() {
    let (ours, other) = (Authority::new("ours"), Authority::new("another"));
    let server = server(&ours).await;
    let port = server.address().port();
    let verified =
        format!("postgres://tollgate@localhost:{port}/postgres?sslmode=verify-full&sslrootcert={{ca}}");
    let (home, environment) = configured(&verified, &ours, PASSWORD);
    tail(&home, &environment).await.ok();
    let config = home.join("tollgate.toml");
    let check = ["--config", config.to_str().unwrap(), "check"];
    let checked = run(&check, &environment).await.ok();
    assert!(!checked.stdout.contains(PASSWORD), "{}", checked.stdout);

    let by_address = verified.replace("localhost", "127.0.0.1");
    let refusals = [
        (&verified, &other, PASSWORD, "UnknownIssuer"),
        (&by_address, &ours, PASSWORD, "not valid for name"),
        (&verified, &ours, "canary-wrong", "password authentication failed"),
    ];
    for (url, authority, password, reason) in refusals {
        let (home, environment) = configured(url, authority, password);
        let refused = tail(&home, &environment).await;
        assert_ne!(refused.code, 0, "{url}");
        assert!(refused.stderr.contains(reason), "{url}: {}", refused.stderr);
        let said = format!("{}{}", refused.stdout, refused.stderr);
        assert!(!said.contains("canary"), "{said}");
    }
}

#[tokio::test]
async fn a_password_in_the_url_is_refused_and_not_repeated() {
    for url in [
        format!("postgres://tollgate:{PASSWORD}@localhost/t"),
        format!("postgres://localhost/t?user=tollgate&password={PASSWORD}"),
    ] {
        let (home, environment) = Setup::new().set("store", "url", &format!("\"{url}\"")).write();
        let refused = tail(&home, &environment).await;
        assert_eq!(refused.code, 2, "{}", refused.stderr);
        assert!(
            refused.stderr.contains("store.password_secret"),
            "{}",
            refused.stderr
        );
        assert!(!refused.stderr.contains(PASSWORD), "{}", refused.stderr);
    }
}
