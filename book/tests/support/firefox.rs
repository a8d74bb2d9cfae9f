//! A page in Firefox, over WebDriver BiDi.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tungstenite::{Message, WebSocket};

/// A browser with one page; it ends with this value.
pub(crate) struct Firefox {
    process: Child,
    socket: WebSocket<TcpStream>,
    page: Value,
    number: u64,
    _profile: TempDir,
}

impl Drop for Firefox {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Firefox {
    /// Starts Firefox, unless it is missing.
    pub(crate) fn start() -> Option<Self> {
        let profile = tempfile::tempdir().unwrap();
        let mut command = Command::new("firefox");
        command.args(["--headless", "--no-remote", "--remote-debugging-port=0", "--profile"]);
        command.arg(profile.path()).env("HOME", profile.path());
        let mut process = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().ok()?;
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let address = lines.by_ref().map_while(Result::ok).find_map(|line| {
            line.strip_prefix("WebDriver BiDi listening on ws://").map(str::to_string)
        });
        let address = address.unwrap_or_else(|| panic!("Firefox does not start"));
        // Firefox must never wait for somebody who reads what else it says.
        std::thread::spawn(move || lines.for_each(drop));
        let stream = TcpStream::connect(&address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        let (socket, _) = tungstenite::client(format!("ws://{address}/session"), stream).unwrap();
        let mut firefox = Self { process, socket, page: Value::Null, number: 0, _profile: profile };
        firefox.call("session.new", &json!({"capabilities": {}}));
        let tree = firefox.call("browsingContext.getTree", &json!({}));
        firefox.page = tree["contexts"][0]["context"].clone();
        Some(firefox)
    }

    fn call(&mut self, method: &str, params: &Value) -> Value {
        self.number += 1;
        let message = json!({"id": self.number, "method": method, "params": params});
        self.socket.send(Message::text(message.to_string())).unwrap();
        loop {
            let Message::Text(text) = self.socket.read().unwrap() else { continue };
            let answer: Value = serde_json::from_str(&text).unwrap();
            if answer["id"] == self.number {
                assert_eq!(answer["type"], "success", "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }
}

impl crate::Page for Firefox {
    fn open(&mut self, address: &str) {
        let params = json!({"context": self.page, "url": address, "wait": "complete"});
        self.call("browsingContext.navigate", &params);
    }

    fn run(&mut self, expression: &str) -> Value {
        let expression = format!("(async () => JSON.stringify(await ({expression})))()");
        let params = json!({
            "expression": expression, "awaitPromise": true, "target": {"context": self.page}
        });
        let result = self.call("script.evaluate", &params);
        assert_eq!(result["type"], "success", "{expression}: {result}");
        let text = result["result"]["value"].as_str().unwrap_or("null");
        serde_json::from_str(text).unwrap()
    }
}
