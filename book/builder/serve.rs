//! Serves the book on loopback, builds it again when something changes, and reloads the pages.

use std::collections::HashMap;
use std::fs;
use std::io::{Cursor, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, anyhow};
use flate2::Compression;
use flate2::write::GzEncoder;
use tiny_http::{Header, Request, Response, Server};
use workshop::{output, steps};

use crate::build;

/// How often the sources are looked at.
const LOOK: Duration = Duration::from_millis(300);
/// A page asks again after so long.
const WAIT: Duration = Duration::from_secs(20);

/// What a page asks: the answer comes when there is a newer build than the one it names.
const CHANGED: &str = "/.changed?";

/// How many builds there have been.
#[derive(Default)]
struct Builds {
    count: Mutex<u64>,
    more: Condvar,
}

/// The address on which a book is served, and what serves it.
pub struct Book {
    server: Arc<Server>,
    builds: Arc<Builds>,
    root: PathBuf,
    pages: PathBuf,
}

impl Book {
    /// Takes the port on loopback; 0 takes any that is free.
    pub fn listen(root: &Path, pages: &Path, port: u16) -> Result<Self> {
        let server = Server::http(("127.0.0.1", port)).map_err(|error| {
            anyhow!(
                "cannot serve on port {port}: {error}. Name another one with --port, or 0 for any"
            )
        })?;
        let (root, pages) = (root.to_path_buf(), pages.to_path_buf());
        Ok(Self { server: Arc::new(server), builds: Arc::default(), root, pages })
    }

    /// `http://127.0.0.1:3000/`
    pub fn address(&self) -> String {
        format!("http://{}/", self.server.server_addr())
    }

    /// Serves until it is interrupted.
    pub fn serve(&self) -> Result<()> {
        let (root, builds) = (self.root.clone(), Arc::clone(&self.builds));
        let pages = self.pages.clone();
        thread::spawn(move || watch(&root, &pages, &builds));
        for request in self.server.incoming_requests() {
            let (pages, builds) = (self.pages.clone(), Arc::clone(&self.builds));
            // A page that waits for the next build holds nobody up.
            thread::spawn(move || {
                // Whoever has hung up does not want an answer.
                let _ = answer(request, &pages, &builds);
            });
        }
        Ok(())
    }
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

fn answer(request: Request, pages: &Path, builds: &Builds) -> Result<()> {
    let url = request.url().to_string();
    if let Some(known) = url.strip_prefix(CHANGED) {
        let count = builds.after(known.parse().ok());
        return Ok(request.respond(Response::from_string(count.to_string()))?);
    }
    let path = url.split(['?', '#']).next().unwrap_or_default().trim_start_matches('/');
    let path = Path::new(if path.is_empty() { "index.html" } else { path });
    let stays = path.components().all(|part| matches!(part, Component::Normal(_)));
    let Some(mut body) = fs::read(pages.join(path)).ok().filter(|_| stays) else {
        return Ok(request.respond(Response::from_string("no such page").with_status_code(404))?);
    };
    if path.extension().is_some_and(|it| it == "html") {
        body.extend(RELOAD.as_bytes());
    }
    let header =
        |name, value| Header::from_bytes(name, value).map_err(|()| anyhow!("cannot make a header"));
    let mut headers = vec![header("Content-Type", kind(path))?];
    let takes =
        |it: &Header| it.field.equiv("Accept-Encoding") && it.value.as_str().contains("gzip");
    if request.headers().iter().any(takes) {
        headers.push(header("Content-Encoding", "gzip")?);
        body = packed(&body)?;
    }
    Ok(request.respond(Response::new(200.into(), headers, Cursor::new(body), None, None))?)
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
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
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
