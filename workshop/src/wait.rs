//! Waiting with a bound.

use std::thread;
use std::time::{Duration, Instant};

/// Asks again and again until the answer is yes; false if it is still no after `limit`.
pub fn until(limit: Duration, mut answer: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    loop {
        if answer() {
            return true;
        }
        if start.elapsed() > limit {
            return false;
        }
        thread::sleep(Duration::from_millis(3));
    }
}
