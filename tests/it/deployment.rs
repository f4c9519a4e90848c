//! What we ship for operators is right by itself: configurations, the unit, the manifest.

use std::time::Duration;

use crate::support::gateway::run;
use crate::support::home::Home;

fn shipped(name: &str) -> String {
    let path = format!("{}/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What is indented below a line, without the indentation.
fn below(text: &str, heading: &str) -> String {
    let lines = text.lines().skip_while(|line| line.trim() != heading).skip(1);
    let block: Vec<&str> = lines
        .take_while(|line| line.is_empty() || line.starts_with("    "))
        .collect();
    assert!(!block.is_empty(), "{heading}");
    block
        .iter()
        .map(|line| line.strip_prefix("    ").unwrap_or(line))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The value of a setting in a unit or manifest.
fn value<'a>(text: &'a str, key: &str) -> &'a str {
    let mut lines = text.lines().map(str::trim);
    lines
        .find_map(|line| line.strip_prefix(key))
        .unwrap_or_else(|| panic!("{key}"))
        .trim()
}

/// The span that a configuration in force gives a key, in whole seconds.
fn seconds(check: &str, key: &str) -> u64 {
    let line = check.lines().find_map(|line| line.strip_prefix(key));
    let text = line.map_or("0s", |line| line.split('"').nth(1).expect("a span is a text"));
    let number = text.strip_suffix('s').expect("whole seconds");
    number.parse().expect("a number")
}

/// What a shutdown may take at most under this configuration, and what the gateway adds of itself.
fn longest_shutdown(check: &str) -> Duration {
    let ends = Duration::from_secs(3 + 10);
    let configured = seconds(check, "timeouts.drain_delay = ") + seconds(check, "timeouts.drain = ");
    Duration::from_secs(configured) + ends
}

async fn checked(config: &str, environment: &[(String, String)]) -> String {
    let home = Home::new();
    let file = home.write("tollgate.toml", config);
    let arguments = ["--config", file.to_str().unwrap(), "check"];
    run(&arguments, environment).await.ok().stdout
}

#[tokio::test]
async fn the_packaged_configuration_is_right_and_its_shutdown_fits_the_unit() {
    let config = shipped("packaging/tollgate.toml");
    let check = checked(&config, &[]).await;
    let unit = shipped("packaging/tollgate.service");
    let stop: u64 = value(&unit, "TimeoutStopSec=")
        .trim_end_matches('s')
        .parse()
        .unwrap();
    assert!(Duration::from_secs(stop) > longest_shutdown(&check));
    for hardening in [
        "DynamicUser=yes",
        "StateDirectory=tollgate",
        "ProtectSystem=strict",
        "NoNewPrivileges=yes",
        "MemoryDenyWriteExecute=yes",
        "CapabilityBoundingSet=",
        "SystemCallFilter=@system-service",
        "Type=notify",
    ] {
        assert!(unit.lines().any(|line| line == hardening), "{hardening}");
    }
    // With every example in it put in force, it is right as well, and its secret comes from systemd.
    let home = Home::new();
    home.write("anthropic_api_key", "sk-1\n");
    let full: Vec<&str> = config
        .lines()
        .map(|line| {
            line.strip_prefix('#')
                .filter(|rest| !rest.starts_with(' '))
                .unwrap_or(line)
        })
        .collect();
    let folder = home.join("").display().to_string();
    let check = checked(&full.join("\n"), &[("CREDENTIALS_DIRECTORY".to_owned(), folder)]).await;
    assert!(check.contains("https://api.anthropic.com:443"), "{check}");
}

#[tokio::test]
async fn the_manifests_configuration_is_right_and_its_shutdown_fits() {
    let manifest = shipped("packaging/kubernetes.yaml");
    let home = Home::new();
    home.write("anthropic_api_key", "sk-1\n");
    let mounted = home.join("").display().to_string();
    let config = below(&manifest, "tollgate.toml: |").replace("/etc/tollgate-secrets/", &mounted);
    let check = checked(&config, &[]).await;
    let grace = value(&manifest, "terminationGracePeriodSeconds:")
        .parse()
        .unwrap();
    assert!(Duration::from_secs(grace) > longest_shutdown(&check));
    for hardening in [
        "readOnlyRootFilesystem: true",
        "runAsNonRoot: true",
        "drop: [ALL]",
    ] {
        assert!(manifest.contains(hardening), "{hardening}");
    }
}

#[tokio::test]
async fn the_example_names_all_mistakes_of_all_files_as_json_too() {
    let home = Home::new();
    let config = shipped("conf/example.toml")
        + "\n[policy]\ndirectory = \"policies\"\n[[upstream]]\nname = \"x\"\nprovider = \"nobody\"\nendpoint = \"http://h\"\n";
    let file = home.write("tollgate.toml", &config);
    home.write("policies/bad.cedar", "\npermit(principal, action, nothing);\n");
    let arguments = ["--json", "--config", file.to_str().unwrap(), "check"];
    let output = run(&arguments, &[]).await;
    assert_eq!(output.code, 2);
    let told: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    let place = |needle: &str| {
        let line = config.lines().position(|line| line.contains(needle)).unwrap() + 1;
        format!("tollgate.toml:{line}")
    };
    let mut places: Vec<String> = told["mistakes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|mistake| {
            let file = mistake["file"]
                .as_str()
                .unwrap()
                .rsplit('/')
                .next()
                .unwrap()
                .to_owned();
            format!("{file}:{}", mistake["line"])
        })
        .collect();
    places.sort();
    let mut expected = vec![
        "bad.cedar:2".to_owned(),
        place("anthropic_api_key = \"env"),
        place("openai_api_key = \"env"),
        place("\"nobody\""),
    ];
    expected.sort();
    assert_eq!(places, expected, "{}", output.stdout);
}
