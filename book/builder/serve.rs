//! Serves the book on loopback, builds it again when something changes, and reloads the pages.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use workshop::{output, steps};

use crate::{build, policy};

/// How often the sources are looked at.
const LOOK: Duration = Duration::from_millis(300);
/// A page asks again after so long.
const WAIT: Duration = Duration::from_secs(20);

/// Longer questions are cut.
const LONGEST: u64 = 64 << 10;

/// What a page asks: the answer comes when there is a newer build than the one it names.
const CHANGED: &str = "/.changed?";

/// What a page is.
const HTML: &str = "text/html; charset=utf-8";

/// How many builds there have been.
#[derive(Default)]
struct Builds {
    count: Mutex<u64>,
    more: Condvar,
}

/// The address on which a book is served, and what serves it.
pub struct Book {
    listener: TcpListener,
    address: SocketAddr,
    builds: Arc<Builds>,
    root: PathBuf,
    pages: PathBuf,
}

impl Book {
    /// Takes the port on loopback; 0 takes any that is free.
    pub fn listen(root: &Path, pages: &Path, port: u16) -> Result<Self> {
        let cure = "Name another one with --port, or 0 for any";
        let what = || format!("cannot serve on port {port}. {cure}");
        let listener = TcpListener::bind(("127.0.0.1", port)).with_context(what)?;
        let address = listener.local_addr().with_context(what)?;
        let (root, pages) = (root.to_path_buf(), pages.to_path_buf());
        Ok(Self { listener, address, builds: Arc::default(), root, pages })
    }

    /// `http://127.0.0.1:3000/`
    pub fn address(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Serves until it is interrupted.
    pub fn serve(&self) -> Result<()> {
        let (root, builds) = (self.root.clone(), Arc::clone(&self.builds));
        let pages = self.pages.clone();
        thread::spawn(move || watch(&root, &pages, &builds));
        for stream in self.listener.incoming() {
            // One that is given up before it is taken is no fault of the others.
            let Ok(stream) = stream else { continue };
            let (pages, builds) = (self.pages.clone(), Arc::clone(&self.builds));
            // A page that waits for the next build holds nobody up.
            thread::spawn(move || {
                // Whoever has hung up does not want an answer.
                let _ = converse(&stream, &pages, &builds);
            });
        }
        Ok(())
    }
}

/// One question and its answer: a browser opens as many connections as it likes.
fn converse(mut stream: &TcpStream, pages: &Path, builds: &Builds) -> Result<()> {
    stream.set_read_timeout(Some(WAIT)).context("cannot set a time limit")?;
    let mut lines = BufReader::new(stream.take(LONGEST)).lines();
    let first = lines.next().context("nothing was asked")?.context("cannot read a question")?;
    let mut gzip = false;
    for line in lines {
        let line = line.context("cannot read a question")?.to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        gzip |= line.starts_with("accept-encoding:") && line.contains("gzip");
    }
    let url = first.split(' ').nth(1).unwrap_or_default();
    let (status, kind, body) = answer(url, pages, builds);
    let policy = match kind {
        HTML => {
            format!("Content-Security-Policy: {}\r\n", policy::of(&String::from_utf8_lossy(&body)))
        }
        _ => String::new(),
    };
    // What is packed already stays as it is.
    let (body, encoding) = match gzip && !url.ends_with(".zst") {
        true => (packed(&body)?, "Content-Encoding: gzip\r\n"),
        false => (body, ""),
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{encoding}{policy}\
         Connection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).context("cannot answer")?;
    stream.write_all(&body).context("cannot answer")
}

impl Builds {
    fn add(&self) {
        *self.count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.more.notify_all();
    }

    /// How many there are, as soon as there are others than the asker knows.
    fn after(&self, known: Option<u64>) -> u64 {
        let count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |count: &mut u64| known == Some(*count);
        let waited = self.more.wait_timeout_while(count, WAIT, same);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// The status, what kind of text it is, and the text.
fn answer(url: &str, pages: &Path, builds: &Builds) -> (&'static str, &'static str, Vec<u8>) {
    const TEXT: &str = "text/plain; charset=utf-8";
    if let Some(known) = url.strip_prefix(CHANGED) {
        return ("200 OK", TEXT, builds.after(known.parse().ok()).to_string().into_bytes());
    }
    let path = url.split(['?', '#']).next().unwrap_or_default().trim_start_matches('/');
    let path = Path::new(if path.is_empty() { "index.html" } else { path });
    let stays = path.components().all(|part| matches!(part, Component::Normal(_)));
    let Some(mut body) = fs::read(pages.join(path)).ok().filter(|_| stays) else {
        return ("404 Not Found", TEXT, b"no such page".to_vec());
    };
    if path.extension().is_some_and(|it| it == "html") {
        body.extend(RELOAD.as_bytes());
    }
    ("200 OK", kind(path), body)
}

/// As it goes over the wire, from here or from any other server of static files.
pub fn packed(body: &[u8]) -> Result<Vec<u8>> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(body).context("cannot pack a page")?;
    packer.finish().context("cannot pack a page")
}

/// Reloads a page after the next build.
const RELOAD: &str = "<script>(async () => {
    let known = '';
    for (;;) {
        try {
            const count = await (await fetch('/.changed?' + known)).text();
            if (known !== '' && count !== known) location.reload();
            known = count;
        } catch {
            await new Promise((again) => setTimeout(again, 1000));
        }
    }
})();</script>\n";

fn kind(path: &Path) -> &'static str {
    match path.extension().and_then(|it| it.to_str()) {
        Some("html") => HTML,
        Some("css") => "text/css; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("wasm") => "application/wasm",
        _ => "application/octet-stream",
    }
}

/// Builds again whenever a source has changed.
fn watch(root: &Path, pages: &Path, builds: &Builds) {
    let mut known = stamps(root);
    loop {
        thread::sleep(LOOK);
        let now = stamps(root);
        if now == known {
            continue;
        }
        known = now;
        match build::build(root, Some(pages)) {
            Ok(_) => builds.add(),
            Err(error) => output::complain(&format!("{error:#}")),
        }
    }
}

/// When each file changed that the book is made from.
fn stamps(root: &Path) -> HashMap<PathBuf, SystemTime> {
    let mut stamps = HashMap::new();
    let steps = steps::all().unwrap_or_default().iter().map(|step| step.folder.as_str());
    for folder in steps.chain(["book", "final/src", "workshop/steps.toml"]) {
        look(&root.join(folder), &mut stamps);
    }
    stamps
}

fn look(path: &Path, stamps: &mut HashMap<PathBuf, SystemTime>) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        look(&entry.path(), stamps);
    }
    if let Ok(changed) = fs::metadata(path).and_then(|data| data.modified()) {
        stamps.insert(path.to_path_buf(), changed);
    }
}

/// Shows an address in the reader's browser.
pub fn open(address: &str) -> Result<()> {
    opener::open(address).with_context(|| format!("cannot start a browser. Open {address} in one"))
}
