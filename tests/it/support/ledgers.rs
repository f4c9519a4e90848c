//! Whether what journals hold stands in the store: all of it, once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

use crate::support::gateway::Gateway;
use crate::support::load::Asked;
use crate::support::postgres::Database;

/// What the journals of some gateways hold.
#[derive(Debug, Default)]
struct Journals {
    /// Every leaf by id.
    leaves: BTreeSet<String>,
    /// How each request to a model API ended, by id.
    requests: BTreeMap<String, String>,
    decisions: usize,
}

impl Journals {
    fn read(&mut self, path: PathBuf) {
        let journal = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
            .expect("the journal is there");
        let mut statement = journal
            .prepare("SELECT body FROM leaf ORDER BY seq")
            .expect("it has leaves");
        let bodies = statement
            .query_map([], |row| row.get::<_, String>(0))
            .expect("leaves can be read");
        for body in bodies {
            let leaf: Value =
                serde_json::from_str(&body.expect("nothing is pruned yet")).expect("a leaf is JSON");
            self.add(&leaf);
        }
    }

    fn add(&mut self, leaf: &Value) {
        let id = |value: &Value| value.as_str().expect("an id").to_owned();
        assert!(self.leaves.insert(id(&leaf["id"])), "leaf ids are unique");
        let body = &leaf["body"];
        self.decisions += body["decisions"].as_array().map_or(0, Vec::len);
        match leaf["kind"].as_str() {
            Some("open") => {
                let request = id(&body["facts"]["act"]["request"]);
                self.requests.insert(request, "open".to_owned());
            }
            Some("close") => {
                let ended = self.requests.get_mut(&id(&body["act"]["request"]));
                let ended = ended.expect("what is closed was opened");
                if ended == "open" {
                    *ended = id(&body["outcome"]);
                }
            }
            _ => {}
        }
    }
}

/// Every way in which the store differs from what these gateways' journals hold and these clients saw; nothing
/// when all of it is there once.
pub fn differences(database: &Database, gateways: &[&Gateway], asked: &[Asked]) -> Vec<String> {
    let mut journals = Journals::default();
    for gateway in gateways {
        journals.read(gateway.home.join("data/journal/journal.db"));
    }
    let mut found = Vec::new();
    let audit = database.psql("SELECT id FROM audit");
    let shipped: BTreeSet<String> = audit.lines().map(str::to_owned).collect();
    compare(&mut found, "leaf", &journals.leaves, &shipped);

    let rows =
        database.psql("SELECT request_id || ' ' || outcome FROM ai_requests WHERE outcome <> 'denied'");
    let stored: BTreeSet<String> = rows.lines().map(str::to_owned).collect();
    let held = journals.requests.iter();
    let held: BTreeSet<String> = held.map(|(id, outcome)| format!("{id} {outcome}")).collect();
    compare(&mut found, "request", &held, &stored);

    let count = |sql: &str| -> usize { database.psql(sql).parse().expect("a count") };
    let decisions = count("SELECT count(*) FROM governance_decisions");
    if decisions != journals.decisions {
        found.push(format!("{decisions} decisions instead of {}", journals.decisions));
    }
    let cursors = count("SELECT coalesce(sum(size), 0) FROM ledger_cursors");
    if cursors != journals.leaves.len() {
        found.push(format!(
            "the cursors are at {cursors} of {}",
            journals.leaves.len()
        ));
    }
    let served: BTreeSet<String> = asked
        .iter()
        .filter(|asked| asked.status == Some(200))
        .map(|asked| asked.trace.clone())
        .collect();
    // A gateway that was killed before the close was on disk calls the request interrupted.
    let complete = database.psql(
        "SELECT trace_id FROM ai_requests WHERE outcome = 'interrupted' \
             OR outcome = 'complete' AND cost_microdollars > 0",
    );
    let complete: BTreeSet<String> = complete.lines().map(str::to_owned).collect();
    let unbilled = served.difference(&complete);
    found.extend(unbilled.map(|trace| format!("answered and not billed: {trace}")));
    found
}

fn compare(found: &mut Vec<String>, what: &str, held: &BTreeSet<String>, stored: &BTreeSet<String>) {
    found.extend(held.difference(stored).map(|id| format!("{what} lost: {id}")));
    found.extend(
        stored
            .difference(held)
            .map(|id| format!("{what} from nowhere: {id}")),
    );
}
