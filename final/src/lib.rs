//! The full runtime: everything that the steps do, done as production runtimes do it.
//!
//! [`run`] holds the start in order for the process that starts a container, [`child`] for the new
//! process; each reads from top to bottom. The other modules are the mechanisms, under the names of
//! the steps:
//!
//! | step | module | what became of it |
//! | --- | --- | --- |
//! | 01 run | `options`, `run` | Docker's options; the start in order |
//! | 02 exec | `exec`, `supervisor`, `terminal` | signals are passed on, a terminal of its own |
//! | 03 uts | `uts` | the hostname, /etc/hosts and /etc/resolv.conf |
//! | 04 child | `child`, `channel`, `trampoline`, `protect` | one clone3(2) instead of starting oneself anew |
//! | 05 pid | `pid` | `--init` |
//! | 06 chroot | `root` | pivot_root(2), and paths that cannot lead out |
//! | 07 mount | `mount`, `devices` | /dev, /sys, volumes; masked and read-only paths |
//! | 08 cgroups | `cgroup` | memory, processors and processes, on v1 and v2 |
//! | 09 overlay | `overlay`, `image` | several layers; kept, or in memory |
//! | 10 network | [`network`] | netlink, NAT, published ports; the host is put back |
//! | | `capabilities`, `seccomp`, `user` | what root in a container may not do |
//! | | `state`, `prune` | what crashes leave is found and removed |

use std::process::ExitCode;

use clap::Parser;

mod capabilities;
mod cgroup;
mod channel;
mod child;
mod container;
mod devices;
mod exec;
mod image;
mod kernel;
mod message;
mod mount;
pub mod network;
mod options;
mod overlay;
mod parse;
mod pid;
mod protect;
mod prune;
mod root;
mod run;
mod seccomp;
mod state;
mod supervisor;
mod terminal;
mod trace;
mod trampoline;
mod user;
mod uts;

use options::{Cli, Command};

/// Does what the command line says.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match &cli.command {
        Command::Run(options) => run::run(options, &cli.root),
        Command::Rm { names } => prune::remove(&cli.root, names),
        Command::Prune => prune::prune(&cli.root),
    };
    ExitCode::from(result.unwrap_or_else(|error| {
        let (status, message) = message::explain(&error);
        message::complain(&message);
        status
    }))
}
