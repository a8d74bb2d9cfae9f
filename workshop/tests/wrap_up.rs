//! The last tests to run, by their name: how many have been skipped?

use std::io::{self, Write};

#[test]
fn skipped_tests_are_counted() {
    let skipped = workshop::testing::skipped();
    if skipped > 0 {
        let _ = writeln!(
            io::stderr(),
            "SKIPPED {skipped} tests in all. Most run as root: sudo -E env \"PATH=$PATH\" cargo test --workspace"
        );
    }
}
