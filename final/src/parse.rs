//! What people and files say, made into values. Nothing here touches the machine.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::net::IpAddr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

/// The name of a container or an image: it becomes the name of a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Name(String);

impl Name {
    /// The name as text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        let first = text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
        ensure!(
            first && text.len() <= 64 && text.bytes().all(inner),
            "a name has 1 to 64 letters, digits, `_`, `.` and `-`, and begins with a letter or a digit"
        );
        Ok(Self(text.to_string()))
    }
}

impl TryFrom<String> for Name {
    type Error = anyhow::Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// A hostname as sethostname(2) and hosts(5) take it: 1 to 63 letters, digits, `-`, `_` and `.`.
pub(crate) fn hostname(text: &str) -> Result<String> {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    ensure!(
        edge(text.as_bytes().first()) && edge(text.as_bytes().last()) && text.len() <= 63,
        "a hostname has 1 to 63 characters, and begins and ends with a letter or a digit"
    );
    ensure!(text.bytes().all(inner), "a hostname has letters, digits, `-`, `_` and `.` only");
    Ok(text.to_string())
}

/// An amount of memory in bytes: `67108864`, `64m`, `1.5g`. Units are powers of 1024.
pub(crate) fn bytes(text: &str) -> Result<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let (number, unit) = lower.split_at(digits);
    let shift = match unit {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => bail!("the unit is none of b, k, m, g, t. For example: 64m"),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole: u64 = whole.parse().context("it begins with no whole number. For example: 64m")?;
    let fraction: f64 = match fraction {
        "" => 0.0,
        digits => format!("0.{digits}").parse().context("there is more than one point")?,
    };
    let unit = 1_u64 << shift;
    let bytes =
        whole.checked_mul(unit).and_then(|it| it.checked_add((fraction * unit as f64) as u64));
    let bytes = bytes.filter(|bytes| i64::try_from(*bytes).is_ok()).context("it is too much")?;
    ensure!(bytes > 0, "it is zero");
    Ok(bytes)
}

/// A memory limit in bytes: less than 6 MiB starts no program reliably, as Docker has it.
pub(crate) fn memory(text: &str) -> Result<u64> {
    const LEAST: u64 = 6 << 20;
    let bytes = bytes(text)?;
    ensure!(bytes >= LEAST, "it is less than 6m, in which programs do not start");
    Ok(bytes)
}

/// A number of processors, as microseconds of running time in each 100,000 (sched-bwc).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cpus(pub(crate) u64);

impl FromStr for Cpus {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let cpus: f64 = text.parse().context("it is no number. For example: 0.5")?;
        // The kernel takes no quota below a millisecond.
        ensure!((0.01..=8192.0).contains(&cpus), "it is not between 0.01 and 8192");
        Ok(Self((cpus * 100_000.0).round() as u64))
    }
}

/// A number of processes; none is as many as the host has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Processes(pub(crate) Option<u32>);

impl FromStr for Processes {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let number: i64 = text.parse().context("it is no whole number. For example: 20")?;
        match number {
            -1 | 0 => Ok(Self(None)),
            1.. => Ok(Self(Some(u32::try_from(number).context("it is too many")?))),
            _ => bail!("it is negative. -1 means no limit"),
        }
    }
}

/// `SOURCE:TARGET[:ro|rw]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Volume {
    pub(crate) source: PathBuf,
    pub(crate) target: PathBuf,
    pub(crate) read_only: bool,
}

/// Parses a volume.
pub(crate) fn volume(text: &OsStr) -> Result<Volume> {
    let fields: Vec<_> =
        text.as_bytes().split(|byte| *byte == b':').map(OsStr::from_bytes).collect();
    let (source, target, options) = match fields[..] {
        [source, target] => (source, target, OsStr::new("")),
        [source, target, options] => (source, target, options),
        _ => bail!("it is not SOURCE:TARGET or SOURCE:TARGET:ro"),
    };
    let mut read_only = false;
    for option in options.as_bytes().split(|byte| *byte == b',').filter(|it| !it.is_empty()) {
        match option {
            b"ro" => read_only = true,
            // SELinux labels and propagation: what these say is the case here anyway.
            b"rw" | b"z" | b"Z" | b"private" | b"rprivate" => {}
            other => bail!("{:?} is no option: use ro or rw", OsStr::from_bytes(other)),
        }
    }
    ensure!(!source.is_empty(), "the source is empty");
    ensure!(
        source.as_bytes().contains(&b'/') || source == "." || source == "..",
        "volumes have no names here: write the source as a path, such as ./{}",
        source.display()
    );
    Ok(Volume { source: source.into(), target: inside(target)?, read_only })
}

/// A path inside of the container: absolute, and not the root itself.
pub(crate) fn inside(text: &OsStr) -> Result<PathBuf> {
    let path = Path::new(text);
    ensure!(path.is_absolute(), "the path inside of the container does not begin with /");
    ensure!(path.file_name().is_some(), "the path inside of the container names no file or folder");
    ensure!(!text.as_bytes().contains(&0), "a path holds no zero byte");
    Ok(path.to_path_buf())
}

/// Parses a working directory: the root, too, will do.
pub(crate) fn workdir(text: &OsStr) -> Result<PathBuf> {
    ensure!(Path::new(text).is_absolute(), "the working directory does not begin with /");
    ensure!(!text.as_bytes().contains(&0), "a path holds no zero byte");
    Ok(PathBuf::from(text))
}

/// `TARGET[:OPTION,...]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tmpfs {
    pub(crate) target: PathBuf,
    /// Bytes
    pub(crate) size: Option<u64>,
    pub(crate) mode: u32,
    pub(crate) exec: bool,
    pub(crate) read_only: bool,
}

/// Parses a tmpfs.
pub(crate) fn tmpfs(text: &OsStr) -> Result<Tmpfs> {
    let text = text.to_str().context("it is not UTF-8")?;
    let (target, options) = text.split_once(':').unwrap_or((text, ""));
    let target = inside(OsStr::new(target))?;
    let mut tmpfs = Tmpfs { target, size: None, mode: 0o1777, exec: false, read_only: false };
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option.split_once('=').unwrap_or((option, "")) {
            ("size", size) => tmpfs.size = Some(bytes(size).context("its size")?),
            ("mode", mode) => {
                let mode = u32::from_str_radix(mode, 8).ok().filter(|mode| *mode <= 0o7777);
                tmpfs.mode = mode.context("its mode is no octal number up to 7777")?;
            }
            ("exec", "") => tmpfs.exec = true,
            ("ro", "") => tmpfs.read_only = true,
            ("rw" | "noexec" | "nosuid" | "nodev", "") => {}
            _ => bail!("{option:?} is no option: use size=, mode=, exec or ro"),
        }
    }
    Ok(tmpfs)
}

/// `NAME:ADDRESS`, a line for /etc/hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) address: IpAddr,
}

impl FromStr for Host {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, address) = text.split_once([':', '=']).context("it is not NAME:ADDRESS")?;
        let address = address.trim_start_matches('[').trim_end_matches(']');
        let address = address.parse().with_context(|| format!("{address:?} is no IP address"))?;
        Ok(Self { name: hostname(name)?, address })
    }
}

/// A variable: with a value, or one to be taken from our own environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Variable {
    pub(crate) name: OsString,
    pub(crate) value: Option<OsString>,
}

/// Parses `NAME=VALUE` or `NAME`.
pub(crate) fn variable(text: &OsStr) -> Result<Variable> {
    let bytes = text.as_bytes();
    ensure!(!bytes.contains(&0), "a variable holds no zero byte");
    let (name, value) = match bytes.iter().position(|byte| *byte == b'=') {
        Some(at) => (&bytes[..at], Some(OsString::from_vec(bytes[at + 1..].to_vec()))),
        None => (bytes, None),
    };
    ensure!(!name.is_empty(), "a variable has a name");
    Ok(Variable { name: OsString::from_vec(name.to_vec()), value })
}

/// Parses a file of variables: one a line; blank lines and lines that begin with `#` say nothing.
pub(crate) fn variables(file: &[u8]) -> Result<Vec<Variable>> {
    let lines =
        file.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let said = lines.enumerate().filter(|(_, line)| {
        let text = line.trim_ascii_start();
        !text.is_empty() && !text.starts_with(b"#")
    });
    said.map(|(number, line)| {
        let text = OsStr::from_bytes(line.trim_ascii_start());
        let variable = variable(text).with_context(|| format!("line {}", number + 1))?;
        let name = variable.name.as_bytes();
        ensure!(
            !name.iter().any(u8::is_ascii_whitespace),
            "line {}: a variable's name has no blanks",
            number + 1
        );
        Ok(variable)
    })
    .collect()
}

/// `USER[:GROUP]`, each a name or a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) user: String,
    pub(crate) group: Option<String>,
}

impl FromStr for User {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (text, None),
        };
        let good = |name: &str| !name.is_empty() && !name.contains([':', '\n']);
        ensure!(good(user) && group.is_none_or(good), "it is not USER or USER:GROUP");
        Ok(Self { user: user.to_string(), group: group.map(str::to_string) })
    }
}

/// What `--security-opt` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Security {
    /// Programs cannot gain privileges, such as by set-user-ID.
    NoNewPrivileges(bool),
    /// No seccomp filter.
    Unconfined,
}

impl FromStr for Security {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "no-new-privileges" | "no-new-privileges:true" | "no-new-privileges=true" => {
                Ok(Self::NoNewPrivileges(true))
            }
            "no-new-privileges:false" | "no-new-privileges=false" => {
                Ok(Self::NoNewPrivileges(false))
            }
            "seccomp=unconfined" | "seccomp:unconfined" => Ok(Self::Unconfined),
            _ => bail!("use no-new-privileges or seccomp=unconfined"),
        }
    }
}

#[cfg(test)]
mod tests;
