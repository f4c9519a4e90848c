//! A process that is killed: what it was told is durable must be there.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use super::leaves;
use crate::journal::fixture::{self, House};
use crate::journal::leaf::Leaf;
use crate::journal::leaf::close::Outcome;
use crate::journal::origin::StoreKnows;
use crate::journal::{Durability, Journal, Settings, Sources};
use crate::types::clock::SystemClock;
use crate::types::entropy::{Entropy, SystemEntropy};
use crate::types::ids::RequestId;

const ROUNDS: usize = 10;
const TASKS: usize = 16;
const DIRECTORY: &str = "TOLLGATE_TEST_JOURNAL";
const MODE: &str = "TOLLGATE_TEST_MODE";

fn sources() -> Sources {
    Sources {
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy::new()),
    }
}

/// The process to be killed. Without its variables it is an empty test.
#[test]
#[expect(clippy::disallowed_methods, reason = "the parent test speaks to it so")]
fn child() {
    let (Ok(directory), Ok(mode)) = (std::env::var(DIRECTORY), std::env::var(MODE)) else {
        return;
    };
    let settings = Settings {
        durability: if mode == "journal" {
            Durability::Journal
        } else {
            Durability::Relaxed
        },
        acknowledge_early: mode == "early",
        ..Settings::new(directory, 1 << 30)
    };
    let known = StoreKnows::Nothing;
    let (journal, _) = Journal::open(&settings, &fixture::identity(), &known, sources()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    let journal = Arc::new(journal);
    runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..TASKS {
            tasks.spawn(work(Arc::clone(&journal), mode == "early"));
        }
        tasks.join_all().await;
    });
}

/// Records for ever, and says so after every answer.
async fn work(journal: Arc<Journal>, single: bool) {
    loop {
        let id = RequestId::generate(fixture::facts(0).started_at, &SystemEntropy::new());
        if single {
            let mut denial = fixture::denial(0);
            denial.facts.act.request = id;
            journal.append_denial(&denial).await.unwrap();
            say("denial", id);
        } else {
            let mut open = fixture::open(0);
            open.facts.act.request = id;
            let reservation = journal.open_request(&open).await.unwrap();
            say("open", id);
            reservation.close_durably(fixture::close(0)).await.unwrap();
            say("close", id);
        }
    }
}

fn say(what: &str, id: RequestId) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("ack {what} {id}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

/// Runs the child, kills it after a random number of answers, and gives what it was told.
#[expect(clippy::disallowed_methods, reason = "a process is needed to kill one")]
fn run_and_kill(directory: &Path, mode: &str) -> BTreeSet<String> {
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "journal::tests::crash::child", "--nocapture"])
        .env(DIRECTORY, directory)
        .env(MODE, mode)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut random = [0u8; 2];
    SystemEntropy::new().fill(&mut random);
    let answers = 20 + usize::from(u16::from_be_bytes(random)) % 400;
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let (mut text, mut seen) = (String::new(), 0);
    while seen < answers {
        let start = text.len();
        assert!(
            output.read_line(&mut text).unwrap() > 0,
            "the child ended: {text}"
        );
        seen += usize::from(text[start..].starts_with("ack "));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    output.read_to_string(&mut text).unwrap();
    // A line that was cut off in the middle was not said.
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let told = whole.lines().filter_map(|line| line.strip_prefix("ack "));
    told.map(ToOwned::to_owned).collect()
}

/// What is stored, in the child's words.
async fn stored(journal: &Journal) -> BTreeSet<String> {
    let word = |leaf: Leaf| match leaf {
        Leaf::Open(open) => Some(format!("open {}", open.facts.act.request)),
        Leaf::Close(close) if close.outcome == Outcome::Complete => {
            Some(format!("close {}", close.act.request))
        }
        Leaf::Denial(denial) => Some(format!("denial {}", denial.facts.act.request)),
        _ => None,
    };
    leaves(journal).await.into_iter().filter_map(word).collect()
}

/// Kills a child again and again over one journal. Gives how many acknowledged leaves were lost.
async fn losses(mode: &str) -> usize {
    let house = House::new();
    let (mut told, mut lost) = (BTreeSet::new(), 0);
    for _ in 0..ROUNDS {
        let new = run_and_kill(&house.settings.directory, mode);
        assert!(!new.is_empty());
        told.extend(new);
        let (journal, recovery) = Journal::open(
            &house.settings,
            &fixture::identity(),
            &StoreKnows::Nothing,
            sources(),
        )
        .unwrap();
        let stored = stored(&journal).await;
        lost += told.difference(&stored).count();
        told.retain(|leaf| stored.contains(leaf));

        let count = |kind: &str| stored.iter().filter(|leaf| leaf.starts_with(kind)).count();
        let unclosed = count("open") - count("close");
        let interrupted = leaves(&journal)
            .await
            .into_iter()
            .filter(|leaf| matches!(leaf, Leaf::Close(close) if close.outcome == Outcome::Interrupted));
        assert_eq!(interrupted.count(), unclosed, "every open has exactly one close");
        assert!(recovery.interrupted <= u64::try_from(TASKS).unwrap());
    }
    lost
}

#[tokio::test]
async fn a_killed_process_loses_nothing_that_it_was_told() {
    assert_eq!(losses("journal").await, 0);
}

#[tokio::test]
async fn a_killed_process_loses_nothing_without_fsync_either() {
    assert_eq!(losses("relaxed").await, 0);
}

#[tokio::test]
async fn a_journal_that_answers_too_early_is_caught() {
    assert!(losses("early").await > 0);
}
