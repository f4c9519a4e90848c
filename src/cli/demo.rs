//! `tollgate demo`

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use tokio::sync::watch;

use crate::cli::output::Output;
use crate::cli::root::Failed;
use crate::cli::serve::{runtime, start_logs};
use crate::config::Config;
use crate::config::read;
use crate::config::secret_source::SecretSource;
use crate::server::assemble::Node;
use crate::server::run::{self, Start};
use crate::server::service::Passed;
use crate::server::{listen, simulated};

/// Models that the demo declares for an Anthropic upstream, real or simulated.
const CLAUDE_MODELS: [(&str, &str); 4] = [
    ("claude-opus-5-5", "Claude Opus 5.5"),
    ("claude-sonnet-5-5", "Claude Sonnet 5.5"),
    ("claude-sonnet-4-6", "Claude Sonnet 4.6"),
    ("claude-haiku-5-5", "Claude Haiku 5.5"),
];

/// Models that the demo declares where an OpenAI key is in the environment.
const GPT_MODELS: [(&str, &str); 2] = [("gpt-6.1-sol", "GPT-6.1 Sol"), ("gpt-6-luna", "GPT-6 Luna")];

/// Arguments of `tollgate demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// The address to listen on; port 0 lets the system choose.
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDR")]
    listen: SocketAddr,
    /// The address of `/metrics`, `/healthz` and `/readyz`.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDR")]
    metrics: SocketAddr,
}

/// Runs everything on loopback until it is told to stop.
pub fn demo(demo: &Demo, data: Option<&Path>, output: &mut Output) -> Result<(), Failed> {
    let data = data.map_or_else(|| PathBuf::from("tollgate-demo"), Path::to_owned);
    let (simulation, simulated_at) =
        listen::bind(SocketAddr::from(([127, 0, 0, 1], 0))).map_err(Failed::new)?;
    let config = config(demo, &data, simulated_at)?;
    let _log = start_logs(&config)?;
    runtime()?.block_on(async {
        let (stop, stopping) = watch::channel(false);
        let simulation = simulated::serve(simulation, stopping);
        let announce =
            async |started: &run::Started, node: &Node| announce(started, node, &config, output).await;
        let node = async {
            let start = Start {
                config: config.clone(),
                source: None,
                passed: Passed::default(),
                supervised: false,
                log: None,
            };
            let ran = run::run(start, announce).await;
            let _ = stop.send(true);
            ran
        };
        let (ran, simulated) = tokio::join!(node, simulation);
        ran.map_err(Failed::new)?;
        simulated.map_err(Failed::new)
    })
}

/// The demo's configuration: real upstreams where their keys are in the environment, else a
/// simulated one.
fn config(demo: &Demo, data: &Path, simulated_at: SocketAddr) -> Result<Config, Failed> {
    let anthropic = is_set("ANTHROPIC_API_KEY");
    let openai = is_set("OPENAI_API_KEY");
    let mut text = format!(
        "[server]\nlisten = [\"{}\"]\n[metrics]\nlisten = \"{}\"\n[log]\nfilter = \"warn\"\n[[tenant]]\nname = \"demo\"\n",
        demo.listen, demo.metrics
    );
    text.push_str("[secrets]\n");
    if anthropic {
        text.push_str("anthropic = \"env:ANTHROPIC_API_KEY\"\n");
    }
    if openai {
        text.push_str("openai = \"env:OPENAI_API_KEY\"\n");
    }
    if anthropic {
        text.push_str("[[upstream]]\nname = \"anthropic\"\nprovider = \"anthropic\"\nendpoint = \"https://api.anthropic.com\"\napi_key_secret = \"anthropic\"\n");
    } else {
        text.push_str(&format!(
            "[[upstream]]\nname = \"simulated\"\nprovider = \"simulated\"\nendpoint = \"http://{simulated_at}\"\n"
        ));
    }
    let claude = if anthropic { "anthropic" } else { "simulated" };
    push_models(&mut text, &CLAUDE_MODELS);
    text.push_str(&format!(
        "[[route]]\nmodel_pattern = \"claude-*\"\nupstreams = [\"{claude}\"]\n"
    ));
    if openai {
        text.push_str("[[upstream]]\nname = \"openai\"\nprovider = \"openai\"\nendpoint = \"https://api.openai.com/v1\"\napi_key_secret = \"openai\"\n");
        push_models(&mut text, &GPT_MODELS);
        text.push_str("[[route]]\nmodel_pattern = \"gpt-*\"\nupstreams = [\"openai\"]\n");
    }
    read::from_text(&text, Path::new("demo.toml"), Some(data)).map_err(Failed::usage)
}

fn push_models(text: &mut String, models: &[(&str, &str)]) {
    for (id, name) in models {
        text.push_str(&format!("[[model]]\nid = \"{id}\"\ndisplay_name = \"{name}\"\n"));
    }
}

fn is_set(name: &str) -> bool {
    SecretSource::Env(name.to_owned()).read(Path::new(".")).is_ok()
}

/// Prints what a stranger needs to send the first request.
async fn announce(
    started: &run::Started,
    node: &Node,
    config: &Config,
    output: &mut Output,
) -> Result<(), std::io::Error> {
    let url = started
        .public
        .first()
        .map(|address| format!("http://{address}"))
        .unwrap_or_default();
    let key = node.demo_key().await.map_err(std::io::Error::other)?;
    let upstreams: Vec<String> = config
        .upstreams
        .iter()
        .map(|upstream| {
            let endpoint = upstream.endpoint.as_ref().map(ToString::to_string);
            let endpoint = endpoint.unwrap_or_else(|| upstream.provider.get_ref().clone());
            format!("{} ({endpoint})", upstream.name.get_ref())
        })
        .collect();
    let data = config.server.data_dir.display();
    for line in [
        format!("TOLLGATE_URL={url}"),
        format!("TOLLGATE_KEY={}", key.expose()),
        String::new(),
        format!("Upstreams: {}", upstreams.join(", ")),
        format!("Metrics:   http://{}/metrics", started.metrics),
        String::new(),
        "One request:".to_owned(),
        format!(
            "  curl -s {url}/v1/messages -H 'x-api-key: {}' -H 'content-type: application/json' \\\n    -d '{{\"model\":\"claude-sonnet-4-6\",\"max_tokens\":64,\"messages\":[{{\"role\":\"user\",\"content\":\"hello\"}}]}}'",
            key.expose()
        ),
        "Claude Code:".to_owned(),
        format!(
            "  ANTHROPIC_BASE_URL={url} ANTHROPIC_AUTH_TOKEN={} claude",
            key.expose()
        ),
        "Anthropic SDKs (Python and TypeScript read these variables):".to_owned(),
        format!(
            "  ANTHROPIC_BASE_URL={url} ANTHROPIC_API_KEY={} python your_program.py",
            key.expose()
        ),
        "What was written down:".to_owned(),
        format!("  tollgate --data {data} ledger tail"),
        String::new(),
        "Ctrl-C stops it.".to_owned(),
    ] {
        output.line(&line)?;
    }
    Ok(())
}
