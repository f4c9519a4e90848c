//! The things compared, as running processes: nothing, nginx, and Tollgate at its profiles.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::door::{Certificate, Door, Manner};
use crate::meter::Tree;

const START_MAX: Duration = Duration::from_secs(20);
const STOP_MAX: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_millis(20);

/// One column of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The mock upstream without anything between.
    Direct,
    /// nginx as a bare reverse proxy.
    Nginx,
    /// Tollgate: identify and forward; the ledger without fsync.
    P0,
    /// P0 and a durable journal.
    P2,
    /// P0 over an upstream that speaks chat completions.
    Translated,
}

impl Target {
    /// Those that are compared in every way, in the report's order.
    pub const ALL: [Self; 4] = [Self::Direct, Self::Nginx, Self::P0, Self::P2];

    /// As given on the command line and in folder names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Nginx => "nginx",
            Self::P0 => "p0",
            Self::P2 => "p2",
            Self::Translated => "translated",
        }
    }

    /// As printed.
    pub fn title(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Nginx => "nginx",
            Self::P0 => "Tollgate P0",
            Self::P2 => "Tollgate P2",
            Self::Translated => "Tollgate P0, translated",
        }
    }
}

/// Where processes run and what they are given.
pub struct Site {
    /// A folder on a real disk; each target has its own folder in it.
    pub folder: PathBuf,
    /// The mock.
    pub upstream: SocketAddr,
    /// The processor that targets are pinned to.
    pub processor: usize,
    /// The release binary.
    pub tollgate: PathBuf,
    /// What targets with TLS show.
    pub certificate: Arc<Certificate>,
}

/// A started target; stopped when dropped.
pub struct Running {
    /// Which one.
    pub target: Target,
    /// Where it listens.
    pub address: SocketAddr,
    /// The credential that it accepts.
    pub key: String,
    certificate: Arc<Certificate>,
    child: Option<Child>,
}

impl Running {
    /// Starts a target in the folder `name` of the site, which must not exist yet. It listens with TLS or
    /// without, as this manner needs it.
    pub fn start(site: &Site, target: Target, manner: Manner, name: &str) -> Result<Self> {
        let folder = site.folder.join(name);
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        match target {
            Target::Direct => Ok(Self {
                target,
                address: site.upstream,
                key: "none".to_owned(),
                certificate: Arc::clone(&site.certificate),
                child: None,
            }),
            Target::Nginx => start_nginx(site, manner, &folder),
            Target::P0 | Target::P2 | Target::Translated => start_tollgate(site, target, manner, &folder),
        }
        .with_context(|| format!("starting {}", target.title()))
    }

    /// The way to it.
    pub fn door(&self, manner: Manner) -> Result<Door> {
        Door::new(self.address, manner, &self.certificate)
    }

    /// Its processes; none for a direct connection.
    pub fn tree(&self) -> Option<Tree> {
        self.child.as_ref().map(|child| Tree::of(child.id()))
    }
}

impl Drop for Running {
    /// Asks it to end, then ends it with all its children.
    fn drop(&mut self) {
        let Some(child) = self.child.as_mut() else { return };
        let children = Tree::of(child.id()).pids();
        signal("TERM", &[child.id()]);
        let deadline = Instant::now() + STOP_MAX;
        while Instant::now() < deadline {
            if matches!(child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(STEP);
        }
        signal("KILL", &children);
        let _ = child.wait();
    }
}

fn signal(name: &str, pids: &[u32]) {
    let pids = pids.iter().map(ToString::to_string);
    let _ = Command::new("kill")
        .arg(format!("-{name}"))
        .args(pids)
        .stderr(Stdio::null())
        .status();
}

/// A command pinned to the targets' processor that ends when this process ends, however that happens.
fn pinned(site: &Site, program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args([
            "--pdeathsig",
            "TERM",
            "taskset",
            "--cpu-list",
            &site.processor.to_string(),
        ])
        .arg(program);
    command
}

/// A bare reverse proxy: one worker, kept-alive upstream connections, bodies in memory, no log.
fn start_nginx(site: &Site, manner: Manner, folder: &Path) -> Result<Running> {
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let (flags, tls) = match manner {
        Manner::Plain => ("", String::new()),
        Manner::Tls | Manner::H2 => (
            " ssl http2",
            format!(
                "ssl_certificate {}; ssl_certificate_key {}; ssl_protocols TLSv1.3;",
                site.certificate.certificate.display(),
                site.certificate.key.display()
            ),
        ),
    };
    let configuration = format!(
        "worker_processes 1;\ndaemon off;\npid nginx.pid;\nerror_log error.log;\n\
         events {{ worker_connections 8192; }}\n\
         http {{\n\
           access_log off;\n\
           keepalive_requests 1000000000;\n\
           client_max_body_size 32m;\n\
           client_body_buffer_size 1m;\n\
           client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;\n\
           uwsgi_temp_path uwsgi; scgi_temp_path scgi;\n\
           upstream mock {{ server {upstream}; keepalive 256; keepalive_requests 1000000000; }}\n\
           server {{\n\
             listen {address} backlog=4096{flags};\n\
             {tls}\n\
             location / {{\n\
               proxy_pass http://mock;\n\
               proxy_http_version 1.1;\n\
               proxy_set_header Connection \"\";\n\
               proxy_buffering off;\n\
               proxy_read_timeout 600s;\n\
             }}\n\
           }}\n\
         }}\n",
        upstream = site.upstream
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, configuration)?;
    let mut child = pinned(site, Path::new("nginx"))
        .arg("-p")
        .arg(folder)
        .arg("-e")
        .arg(folder.join("error.log"))
        .arg("-c")
        .arg(&file)
        .stdin(Stdio::null())
        .spawn()?;
    let deadline = Instant::now() + START_MAX;
    while TcpStream::connect(address).is_err() {
        if let Some(status) = child.try_wait()? {
            bail!(
                "it ended with {status}: {}",
                fs::read_to_string(folder.join("error.log")).unwrap_or_default()
            );
        }
        ensure!(Instant::now() < deadline, "it did not listen in time");
        std::thread::sleep(STEP);
    }
    Ok(Running {
        target: Target::Nginx,
        address,
        key: "none".to_owned(),
        certificate: Arc::clone(&site.certificate),
        child: Some(child),
    })
}

fn tollgate_configuration(site: &Site, target: Target, manner: Manner) -> String {
    let durability = if target == Target::P2 {
        "journal"
    } else {
        "relaxed"
    };
    let (provider, path) = match target {
        Target::Translated => ("openai-compatible", "/v1"),
        _ => ("anthropic", ""),
    };
    let tls = match manner {
        Manner::Plain => String::new(),
        Manner::Tls | Manner::H2 => format!(
            "tls = {{ certificate = {:?}, key = {:?} }}\n",
            site.certificate.certificate, site.certificate.key
        ),
    };
    format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\ndata_dir = \"data\"\n{tls}\
         [metrics]\nlisten = \"127.0.0.1:0\"\n\
         [ledger]\ndurability = \"{durability}\"\n\
         [limits]\nrequests_per_minute = 100000000\n\
         [log]\nfilter = \"warn\"\n\
         [[upstream]]\nname = \"mock\"\nprovider = \"{provider}\"\nendpoint = \"http://{}{path}\"\n\
         [[model]]\nid = \"{}\"\n\
         [[route]]\nmodel_pattern = \"claude-*\"\nupstreams = [\"mock\"]\n",
        site.upstream,
        crate::bodies::MODEL
    )
}

/// One tenant, one user, one key; then the real server on ports of the system's choice.
fn start_tollgate(site: &Site, target: Target, manner: Manner, folder: &Path) -> Result<Running> {
    let file = folder.join("tollgate.toml");
    fs::write(&file, tollgate_configuration(site, target, manner))?;
    provision(site, &file, &["tenant", "create", "bench"])?;
    provision(
        site,
        &file,
        &[
            "user",
            "create",
            "--tenant",
            "bench",
            "bench@bench",
            "--role",
            "user",
        ],
    )?;
    let answer = provision(
        site,
        &file,
        &["key", "create", "--tenant", "bench", "bench@bench", "--json"],
    )?;
    let answer: serde_json::Value = serde_json::from_str(&answer).context("reading the new key")?;
    let key = answer
        .get("key")
        .and_then(serde_json::Value::as_str)
        .context("no key was printed")?
        .to_owned();

    let errors = fs::File::create(folder.join("stderr.log"))?;
    let mut child = pinned(site, &site.tollgate)
        .arg("gateway")
        .arg("--config")
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(errors)
        .spawn()?;
    let output = child.stdout.take().context("no output")?;
    let mut running = Running {
        target,
        address: site.upstream,
        key,
        certificate: Arc::clone(&site.certificate),
        child: Some(child),
    };
    running.address = announced(output).with_context(|| {
        let errors = fs::read_to_string(folder.join("stderr.log")).unwrap_or_default();
        format!("it did not say where it listens: {errors}")
    })?;
    Ok(running)
}

/// Reads until `listening on ADDR`, and then on until the end, so that the pipe never fills.
fn announced(output: impl std::io::Read + Send + 'static) -> Result<SocketAddr> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if let Some((_, address)) = line.split_once("listening on ") {
                let _ = sender.send(address.trim().to_owned());
            }
        }
    });
    let address = receiver.recv_timeout(START_MAX)?;
    Ok(address.trim_start_matches("http://").parse()?)
}

fn provision(site: &Site, file: &Path, words: &[&str]) -> Result<String> {
    let output = Command::new(&site.tollgate)
        .arg("--config")
        .arg(file)
        .args(words)
        .output()?;
    ensure!(
        output.status.success(),
        "`tollgate {}` failed: {}",
        words.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}
