//! `final`: the full runtime. See the library's documentation.

use std::process::ExitCode;

fn main() -> ExitCode {
    runtime::main()
}
