//! `cargo workshop` starts here on every system.

#[cfg(target_os = "linux")]
#[path = "main.rs"]
mod linux;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
const WAYS: &str = "\
Containers are made by the Linux kernel. Without a Linux of your own:
macOS: `brew install lima`, `limactl start lima.yaml`, then `limactl shell lima`. Windows: `wsl --install`.
Anywhere: open the folder in Codespaces, or in an editor that knows .devcontainer/.
";

#[cfg(not(target_os = "linux"))]
fn main() -> std::process::ExitCode {
    use std::io::Write;
    let _ = std::io::stderr().write_all(WAYS.as_bytes());
    std::process::ExitCode::FAILURE
}
