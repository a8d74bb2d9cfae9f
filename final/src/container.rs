//! A container that is to be: what the command line and the image say, checked before anything is
//! done.

use std::env;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::fs;
use std::io::{self, IsTerminal};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use caps::CapsHashSet;
use nix::libc::sock_filter;

use crate::capabilities;
use crate::cgroup::Limits;
use crate::image::{Config, Image};
use crate::message::Attempt;
use crate::network;
use crate::options::Run;
use crate::overlay::Area;
use crate::parse::{self, Name, Security, Tmpfs, User, Variable, Volume};
use crate::seccomp;
use crate::state::Store;

/// Where programs are looked up if nobody says otherwise.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Everything that a start needs to know.
pub(crate) struct Container<'a> {
    pub(crate) options: &'a Run,
    pub(crate) name: Name,
    pub(crate) hostname: String,
    /// The topmost first
    pub(crate) layers: Vec<PathBuf>,
    pub(crate) area: Area,
    /// Volumes and tmpfs, outer folders before what lies in them
    pub(crate) mounts: Vec<Mount>,
    pub(crate) workdir: PathBuf,
    pub(crate) user: Option<User>,
    pub(crate) command: Vec<CString>,
    pub(crate) environment: Vec<(OsString, OsString)>,
    pub(crate) limits: Limits,
    pub(crate) network: network::Plan,
    pub(crate) capabilities: CapsHashSet,
    pub(crate) filter: Option<Vec<sock_filter>>,
    pub(crate) no_new_privileges: bool,
}

/// Something that the command line mounts.
pub(crate) enum Mount {
    Volume(Volume),
    Tmpfs(Tmpfs),
}

impl<'a> Container<'a> {
    pub(crate) fn new(options: &'a Run, image: Image, store: &Store) -> Result<Self> {
        let stdin = io::stdin().is_terminal();
        if options.tty && options.interactive && !stdin {
            bail!("cannot give the command a terminal: stdin is none. Leave out -t, or -i");
        }
        let name = options.name.clone().map_or_else(random_name, Ok)?;
        let hostname = options.hostname.clone().unwrap_or_else(|| name.to_string());
        let area = match options.rm {
            true => Area::Memory(store.mount_point()),
            false => Area::Disk(store.folder(&name)),
        };
        let user = match (&options.user, &image.config.user) {
            (Some(user), _) => Some(user.clone()),
            (None, Some(user)) => Some(user.parse().context("cannot use the image's user")?),
            _ => None,
        };
        let workdir = options.workdir.clone().or_else(|| image.config.working_dir.clone());
        let privileged = options.privileged;
        let capabilities = capabilities::choose(&options.cap_add, &options.cap_drop, privileged)?;
        let unconfined = privileged || options.security_opt.contains(&Security::Unconfined);
        let filter = (!unconfined).then(|| seccomp::filter(&capabilities));
        Ok(Self {
            environment: environment(options, &image.config, &hostname)?,
            command: command(options, &image.config)?,
            limits: Limits {
                memory: options.memory,
                cpus: options.cpus,
                shares: options.cpu_shares,
                processes: options.pids_limit.and_then(|limit| limit.0),
            },
            network: network::Plan {
                mode: options.network,
                ip: options.ip,
                ports: options.publish.clone(),
            },
            no_new_privileges: options.security_opt.contains(&Security::NoNewPrivileges(true)),
            layers: image.layers,
            mounts: mounts(options),
            workdir: workdir.unwrap_or_else(|| "/".into()),
            options,
            name,
            hostname,
            area,
            user,
            capabilities,
            filter,
        })
    }
}

impl Container<'_> {
    /// What the command line or the image want to run.
    pub(crate) fn program(&self) -> &CStr {
        self.command.first().map_or(c"", CString::as_c_str)
    }
}

/// 12 random digits, as Docker shows them.
fn random_name() -> Result<Name> {
    let mut bytes = [0; 6];
    let read =
        fs::File::open("/dev/urandom").and_then(|mut it| io::Read::read_exact(&mut it, &mut bytes));
    read.or_cannot("read /dev/urandom", "Mount /dev, or name the container with --name")?;
    bytes.map(|byte| format!("{byte:02x}")).concat().parse()
}

/// The entrypoint and its arguments, or the command.
fn command(options: &Run, image: &Config) -> Result<Vec<CString>> {
    let words = |words: &[String]| words.iter().map(OsString::from).collect::<Vec<_>>();
    // An entrypoint of one's own does not get the image's arguments.
    let (mut line, default) = match &options.entrypoint {
        Some(entrypoint) => (vec![entrypoint.clone()], Vec::new()),
        None => (words(&image.entrypoint), words(&image.command)),
    };
    line.extend(if options.command.is_empty() { default } else { options.command.clone() });
    if line.is_empty() {
        line.push("/bin/sh".into());
    }
    line.into_iter().map(|word| Ok(CString::new(word.into_vec())?)).collect()
}

/// The variables; of several with one name the last one counts.
fn environment(options: &Run, image: &Config, hostname: &str) -> Result<Vec<(OsString, OsString)>> {
    let mut variables = vec![assign("PATH", PATH), assign("HOSTNAME", hostname)];
    if options.tty {
        variables.push(assign("TERM", "xterm"));
    }
    for text in &image.env {
        variables.push(parse::variable(OsStr::new(text)).context("cannot use the image")?);
    }
    for file in &options.env_file {
        let bytes = fs::read(file)
            .or_cannot(format_args!("read {}", file.display()), "Name a file of variables")?;
        let found = parse::variables(&bytes);
        variables.extend(found.with_context(|| format!("cannot understand {}", file.display()))?);
    }
    variables.extend(options.env.iter().cloned());
    let mut environment: Vec<(OsString, OsString)> = Vec::new();
    for Variable { name, value } in variables {
        environment.retain(|(other, _)| *other != name);
        if let Some(value) = value.or_else(|| env::var_os(&name)) {
            environment.push((name, value));
        }
    }
    Ok(environment)
}

fn assign(name: &str, value: &str) -> Variable {
    Variable { name: name.into(), value: Some(value.into()) }
}

fn mounts(options: &Run) -> Vec<Mount> {
    let volumes = options.volume.iter().cloned().map(Mount::Volume);
    let mut mounts: Vec<_> =
        volumes.chain(options.tmpfs.iter().cloned().map(Mount::Tmpfs)).collect();
    mounts.sort_by_key(|mount| match mount {
        Mount::Volume(volume) => volume.target.components().count(),
        Mount::Tmpfs(tmpfs) => tmpfs.target.components().count(),
    });
    mounts
}

/// `NAME=VALUE`, as programs get it.
pub(crate) fn pair(name: &OsStr, value: &OsStr) -> Result<CString> {
    Ok(CString::new([name.as_bytes(), b"=", value.as_bytes()].concat())?)
}
