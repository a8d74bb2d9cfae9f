//! Tells what the kernel of this machine shows, on stdout.

use std::process::ExitCode;

fn main() -> ExitCode {
    agent::multi_call()
}
