//! The agent looks at this machine, in which a process gets namespaces of its own.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use agent::Watcher;
use serde_json::{Value, json};
use workshop::testing;

/// A command that nothing else on this machine runs.
const INSIDE: &str = "sleep 86421";

/// Ends with this value, and what it started with it.
struct Container(Child);

impl Container {
    fn start() -> Self {
        let script = format!("echo inside > /proc/sys/kernel/hostname; {INSIDE} & wait");
        let mut unshare = Command::new("unshare");
        unshare.args(["--uts", "--net", "--pid", "--fork", "--kill-child", "sh", "-c", &script]);
        Self(unshare.stdin(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The state, as soon as there is such a process, or no longer, and the process.
fn until(watcher: &mut Watcher, there: bool) -> (Value, Value) {
    let start = Instant::now();
    loop {
        let state: Value = serde_json::from_str(&watcher.look().unwrap()).unwrap();
        let mut all = state["processes"].as_array().unwrap().iter();
        let found = all.find(|process| process["command"] == INSIDE).cloned();
        if found.is_some() == there {
            return (state, found.unwrap_or_default());
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{there} is never so: {state}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// In which namespaces the threads of this process are.
fn own() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
    let links = tasks.flat_map(|task| ["net", "uts"].map(|kind| task.path().join("ns").join(kind)));
    let mut names: Vec<_> =
        links.filter_map(|link| Some(fs::read_link(link).ok()?.display().to_string())).collect();
    names.sort();
    names.dedup();
    names
}

#[test]
fn namespaces_that_a_process_gets_are_told_and_not_held() {
    if !testing::root("namespaces_that_a_process_gets_are_told_and_not_held") {
        return;
    }
    let mut watcher = Watcher::start().unwrap();
    let before = own();
    let container = Container::start();
    let (state, process) = until(&mut watcher, true);
    let (net, uts) = (&process["ns"]["net"], &process["ns"]["uts"]);
    assert_eq!(state["v"], 1);
    assert!(process["ns"]["pid"].is_u64() && process["ns"]["mnt"].is_null(), "{process}");
    assert_eq!(process["pids"][1], 2);
    assert_eq!(state["hostnames"][uts.to_string()], "inside");
    let links = state["links"].as_array().unwrap();
    let inside: Vec<_> = links.iter().filter(|link| link["ns"] == *net).collect();
    assert_eq!(inside.len(), 1);
    assert_eq!(json!([inside[0]["name"], inside[0]["up"]]), json!(["lo", false]));
    assert!(links.iter().any(|link| link["ns"] == state["host"]["net"] && link["name"] == "lo"));
    assert_eq!(own(), before);

    drop(container);
    let (state, _) = until(&mut watcher, false);
    assert!(state["hostnames"][uts.to_string()].is_null());
    assert_eq!(own(), before);
}
