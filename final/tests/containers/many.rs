//! Many containers at once, on one bridge.

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::machine::{Machine, end, machine, rounds};

/// How many are alive at most.
const AT_ONCE: usize = 32;

/// Tells its address, then lives until its stdin is closed.
const SCRIPT: &str = "set -- $(ip -4 -o address show eth0); echo $4; cat";

#[test]
fn five_hundred_start_and_none_shares_an_address() {
    let Some(machine) = machine("five_hundred_start_and_none_shares_an_address") else { return };
    let before = machine.network();
    let (count, started) = (rounds(500), AtomicU32::new(0));
    let (alive, times) = (Mutex::new(HashSet::new()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let number = started.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        break;
                    }
                    let time = live(&machine, &alive);
                    times.lock().unwrap().push((number, time));
                }
            });
        }
    });
    let mut times = times.into_inner().unwrap();
    times.sort_unstable();
    assert_eq!(times.len(), count as usize);
    let part = times.len() / 10;
    let sum = |times: &[(u32, Duration)]| times.iter().map(|it| it.1.as_secs_f64()).sum::<f64>();
    let ratio = sum(&times[times.len() - part..]) / sum(&times[..part]);
    println!("the last {part} of {count} starts took {ratio:.2} times as long as the first");
    assert!(ratio < 3.0, "{ratio}");
    machine.run("prune").assert(0, "");
    machine.assert_network(&before);
    machine.assert_clean();
}

/// The life of one container; tells how long it took to come.
fn live(machine: &Machine, alive: &Mutex<HashSet<String>>) -> Duration {
    let start = Instant::now();
    let mut process = machine.start(&machine.script("run --rm -i host", SCRIPT));
    let mut stdout = BufReader::new(process.stdout.take().unwrap());
    let mut address = String::new();
    stdout.read_line(&mut address).unwrap();
    let time = start.elapsed();
    if address.is_empty() {
        panic!("{:?}", end(process, ""));
    }
    assert!(alive.lock().unwrap().insert(address.clone()), "two have {address}");
    let ip = address.trim().split('/').next().unwrap();
    machine.host(&format!("ping -q -c 1 -i 0.2 -w 10 {ip}"));
    assert!(alive.lock().unwrap().remove(&address));
    let ended = end(process, "");
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""));
    time
}
