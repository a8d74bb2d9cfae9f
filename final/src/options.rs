//! The command line. Names and meanings are Docker's wherever Docker has one.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{ArgAction, Args, Parser, Subcommand};

use crate::network;
use crate::parse::{self, Cpus, Host, Name, Processes, Security, Tmpfs, User, Variable, Volume};

/// Where images and state are kept if nobody says otherwise.
const ROOT: &str = "/var/lib/containers-from-scratch";

const AFTER_HELP: &str = "\
Examples:
  final run --rm -it host /bin/sh
  final run --rm -m 64m --cpus 0.5 --pids-limit 20 host ps
  final run --rm -p 8080:80 -v ./site:/site:ro -w /site host ls -l

Exit status:
  the command's own, or 128+n if signal n ended it
  125: the container did not start   126: the command cannot be executed
    2: wrong usage                   127: the command is not there";

/// Runs containers, from scratch
#[derive(Debug, Parser)]
#[command(name = "final", version, next_line_help = true)]
pub(crate) struct Cli {
    /// Images and state are here
    #[arg(long, value_name = "DIR", default_value = ROOT, global = true)]
    pub(crate) root: PathBuf,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs a command in a new container
    #[command(after_help = AFTER_HELP)]
    Run(Box<Run>),
    /// Removes containers that were kept, with what they wrote
    Rm {
        /// Their names
        #[arg(value_name = "CONTAINER", required = true)]
        names: Vec<Name>,
    },
    /// Removes what crashes and reboots left, and nothing else; without a container left, puts the
    /// host's network back at once
    Prune,
}

/// The options of `run`.
#[derive(Args, Debug)]
pub(crate) struct Run {
    /// The image; `host` always is one: this machine's own programs
    #[arg(value_name = "IMAGE")]
    pub(crate) image: OsString,
    /// The command and its arguments [default: the image's]
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) command: Vec<OsString>,

    /// IMAGE is a folder with a root filesystem, which is left untouched
    #[arg(long)]
    pub(crate) rootfs: bool,
    /// Remove the container when it ends; what it writes is in memory only
    #[arg(long)]
    pub(crate) rm: bool,
    /// Let the command read stdin
    #[arg(short, long)]
    pub(crate) interactive: bool,
    /// Give the command a terminal
    #[arg(short, long)]
    pub(crate) tty: bool,
    /// The container's name [default: 12 random digits]
    #[arg(long)]
    pub(crate) name: Option<Name>,
    /// What to run in the place of the image's entrypoint
    #[arg(long, value_name = "COMMAND")]
    pub(crate) entrypoint: Option<OsString>,
    /// Where it runs; made if missing [default: the image's, else /]
    #[arg(short, long, value_name = "DIR", value_parser = os(parse::workdir))]
    pub(crate) workdir: Option<PathBuf>,
    /// Who runs it, by name or number [default: the image's, else root]
    #[arg(short, long, value_name = "USER[:GROUP]")]
    pub(crate) user: Option<User>,
    /// A variable; without =VALUE it has the value that it has here
    #[arg(short, long, value_name = "NAME[=VALUE]", value_parser = os(parse::variable))]
    pub(crate) env: Vec<Variable>,
    /// A file of variables, one a line; a line that begins with # is none
    #[arg(long, value_name = "FILE")]
    pub(crate) env_file: Vec<PathBuf>,
    /// Start a process 1 that removes zombies and passes signals on
    #[arg(long)]
    pub(crate) init: bool,

    /// A folder or file of the host; a missing SOURCE becomes a folder
    #[arg(short, long, value_name = "SOURCE:TARGET[:ro]", value_parser = os(parse::volume))]
    pub(crate) volume: Vec<Volume>,
    /// A folder in memory, such as /run:size=64m,mode=755,exec or /a:ro
    #[arg(long, value_name = "TARGET[:OPTIONS]", value_parser = os(parse::tmpfs))]
    pub(crate) tmpfs: Vec<Tmpfs>,
    /// Make the root filesystem read-only
    #[arg(long)]
    pub(crate) read_only: bool,

    /// Bridged, lo only, or the host's own
    #[arg(long, visible_alias = "net", value_name = "bridge|none|host", default_value_t)]
    pub(crate) network: network::Mode,
    /// An address from 10.20.30.2 to 10.20.30.254 [default: one that is free]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) ip: Option<Ipv4Addr>,
    /// A port of the host that leads to one of the container: 8080:80
    #[arg(short, long, value_name = "[IP:]HOST:CONTAINER[/tcp|udp]")]
    pub(crate) publish: Vec<network::Port>,
    /// The hostname [default: the container's name]
    #[arg(long, value_name = "NAME", value_parser = parse::hostname)]
    pub(crate) hostname: Option<String>,
    /// A name server for /etc/resolv.conf [default: the host's]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) dns: Vec<IpAddr>,
    /// A line for /etc/hosts, such as db:10.1.2.3
    #[arg(long, value_name = "NAME:ADDRESS")]
    pub(crate) add_host: Vec<Host>,

    /// The most memory, such as 64m or 1.5g; as much swap comes on top
    #[arg(short, long, value_name = "BYTES[k|m|g]", value_parser = parse::memory)]
    pub(crate) memory: Option<u64>,
    /// How many processors' time it gets at most; 0.5 is half of one
    #[arg(long, value_name = "NUMBER")]
    pub(crate) cpus: Option<Cpus>,
    /// Its share where they are scarce, from 2 to 262144; others have 1024
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(2..=262_144))]
    pub(crate) cpu_shares: Option<u64>,
    /// How many processes and threads there can be [default: -1, no limit]
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub(crate) pids_limit: Option<Processes>,

    /// A capability to add, such as NET_ADMIN, or ALL
    #[arg(long, value_name = "NAME")]
    pub(crate) cap_add: Vec<String>,
    /// A capability to take away, or ALL
    #[arg(long, value_name = "NAME")]
    pub(crate) cap_drop: Vec<String>,
    /// Give all capabilities and devices, and hide and forbid nothing
    #[arg(long)]
    pub(crate) privileged: bool,
    /// no-new-privileges, or seccomp=unconfined: allow all system calls
    #[arg(long, value_name = "OPTION")]
    pub(crate) security_opt: Vec<Security>,

    /// Print every step of the start with its time in microseconds
    #[arg(long, action = ArgAction::SetTrue)]
    pub(crate) debug: bool,
}

/// A parser of words that need not be UTF-8.
fn os<T: Clone + Send + Sync + 'static>(
    parse: fn(&std::ffi::OsStr) -> anyhow::Result<T>,
) -> impl TypedValueParser<Value = T> {
    OsStringValueParser::new().try_map(move |text| parse(&text).map_err(Words))
}

/// An error in words, as clap wants it.
#[derive(Debug)]
struct Words(anyhow::Error);

impl std::fmt::Display for Words {
    fn fmt(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(out, "{:#}", self.0)
    }
}

impl std::error::Error for Words {}
