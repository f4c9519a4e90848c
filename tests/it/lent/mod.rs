//! Credentials that clouds lend: fetched by nobody twice, renewed in time, and never told.

mod aws;

use std::path::PathBuf;

use crate::support::client::{Answer, Call};
use crate::support::gateway::Gateway;
use crate::support::prompt::ask;

/// Asks for the tests' usual model.
async fn hello(gateway: &Gateway, key: &str) -> Answer {
    gateway.call(&Call::messages(key, &ask("hello"))).await
}

/// The request failed for want of a credential, and none of these texts is in any file, log or answer.
async fn assert_fails_closed(gateway: &Gateway, answer: &Answer, fix: &str, canaries: &[&str]) {
    assert_eq!(
        (answer.status, answer.error_type().as_str()),
        (502, "api_error"),
        "{}",
        answer.text()
    );
    let log = gateway.log();
    assert!(log.contains(fix), "the log names the fix: {log}");
    let ledger = gateway.cli(&["ledger", "tail", "--json"]).await.ok().stdout;
    for canary in canaries {
        let told = [&answer.text(), &log, &ledger]
            .iter()
            .any(|text| text.contains(canary));
        assert!(!told, "{canary} was told");
        let files = gateway.home.files_containing(canary);
        assert_eq!(files, Vec::<PathBuf>::new(), "{canary} was written");
    }
}
