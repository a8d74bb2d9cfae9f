//! A root filesystem from a tar archive, which may come from anyone.

use std::env;
use std::fs::File;
use std::io::{self, BufReader, Cursor, ErrorKind, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use flate2::bufread::MultiGzDecoder;
use nix::errno::Errno;
use nix::sys::stat::Mode;
use nix::sys::statvfs::statvfs;
use nix::unistd::{Gid, Uid, geteuid};
use tar::{Archive, Entry, EntryType};

use super::inside::{Inside, Place};
use super::job::Job;
use super::{cure, has_shell, paths, skeleton};

const AGAIN: &str = "Write it with: docker export CONTAINER > FILE";

/// Archives end with two blocks of zeros.
const END: u64 = 1024;

/// How other formats begin, and what unpacks them.
const OTHER_FORMATS: [(&[u8], &str); 4] = [
    (b"\x28\xb5\x2f\xfd", "zstd -d"),
    (b"\xfd7zXZ\0", "xz -d"),
    (b"BZh", "bzip2 -d"),
    (b"PK\x03\x04", "unzip"),
];

/// Unpacks `file`, or stdin if it is `-`, into the empty folder `root`. Returns what was left out.
pub(super) fn fill(root: &Path, file: &Path, job: &Job) -> Result<Vec<String>> {
    let mut reader = open(file, job)?;
    let mut unpacker = Unpacker::new(root)?;
    unpacker.all(&mut reader).map_err(|error| {
        let todo = if is_disk_full(&error) { "Make room on the disk" } else { AGAIN };
        cure(&format!("cannot unpack {}", file.display()), error, todo)
    })?;
    if root.join("manifest.json").exists() && !paths::exists(root, "/bin/sh") {
        bail!(
            "cannot use {}: `docker save` wrote it, an image in layers. Make a container of it with: \
             docker create IMAGE, and write that with: docker export CONTAINER > FILE",
            file.display()
        );
    }
    skeleton::complete(root)?;
    let mut warnings = unpacker.warnings();
    if !has_shell(root) {
        let name = file.display();
        warnings.push(format!(
            "{name} has no /bin/sh: no step's example will start. Export another image"
        ));
    }
    Ok(warnings)
}

/// The archive's bytes, unpacked if they are gzip.
fn open<'a>(file: &Path, job: &'a Job) -> Result<Tail<Box<dyn Read + 'a>>> {
    let name = file.display();
    let (source, size) = if file == Path::new("-") {
        (File::from(io::stdin().as_fd().try_clone_to_owned()?), None)
    } else {
        let tried = format!("cannot open {name}");
        let source = File::open(file).map_err(|error| cure(&tried, error, AGAIN))?;
        let data = source.metadata().with_context(|| format!("cannot read {name}"))?;
        if data.is_dir() {
            bail!("cannot unpack {name}: it is a folder. Name a tar archive");
        }
        (source, data.is_file().then_some(data.len()))
    };
    job.bytes("unpacking", size);
    let mut bytes = BufReader::with_capacity(1 << 16, job.read(source));
    let mut start = Vec::new();
    bytes
        .by_ref()
        .take(8)
        .read_to_end(&mut start)
        .with_context(|| format!("cannot read {name}"))?;
    if start.is_empty() {
        bail!("cannot unpack {name}: it is empty. {AGAIN}");
    }
    if let Some((_, tool)) = OTHER_FORMATS.iter().find(|(magic, _)| start.starts_with(magic)) {
        bail!(
            "cannot unpack {name}: only plain tar and gzip are read. Unpack it first with: {tool} {name}"
        );
    }
    let gzip = start.starts_with(b"\x1f\x8b");
    let bytes = Cursor::new(start).chain(bytes);
    let bytes: Box<dyn Read> =
        if gzip { Box::new(MultiGzDecoder::new(bytes)) } else { Box::new(bytes) };
    Ok(Tail { source: bytes, zeros: 0 })
}

/// Counts the zeros at the end of what was read so far.
struct Tail<R> {
    source: R,
    zeros: u64,
}

impl<R: Read> Read for Tail<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        let zeros = buffer[..read].iter().rev().take_while(|byte| **byte == 0).count();
        self.zeros = if zeros == read { self.zeros + zeros as u64 } else { zeros as u64 };
        Ok(read)
    }
}

struct Unpacker<'a> {
    root: &'a Path,
    inside: Inside,
    entries: u64,
    devices: Vec<PathBuf>,
    /// Root keeps the archive's owners, unless the files are handed to the user of sudo later on.
    keep_owners: bool,
}

impl<'a> Unpacker<'a> {
    fn new(root: &'a Path) -> Result<Self> {
        let keep_owners = geteuid().is_root() && env::var_os("SUDO_UID").is_none();
        let inside = Inside::open(root)?;
        Ok(Self { root, inside, entries: 0, devices: Vec::new(), keep_owners })
    }

    fn all<R: Read>(&mut self, reader: &mut Tail<R>) -> Result<()> {
        let mut archive = Archive::new(reader);
        for entry in archive.entries()? {
            let mut entry = entry.with_context(|| self.damage())?;
            let name = entry.path().context("an entry has no name")?.into_owned();
            self.entry(&name, &mut entry).with_context(|| format!("cannot make {name:?}"))?;
            self.entries += 1;
        }
        // gzip tells only at its end whether everything arrived.
        let reader = archive.into_inner();
        io::copy(reader, &mut io::sink()).context("it is damaged or cut short")?;
        if reader.zeros < END {
            bail!("it is cut short");
        }
        if self.entries == 0 {
            bail!("there is nothing in it");
        }
        Ok(())
    }

    fn damage(&self) -> String {
        match self.entries {
            0 => "it is no tar archive".to_owned(),
            count => format!("it is damaged after {count} entries"),
        }
    }

    fn entry<R: Read>(&mut self, name: &Path, entry: &mut Entry<R>) -> Result<()> {
        let Some(place) = self.inside.place(name)? else { return Ok(()) };
        let mode = mode(entry)?;
        match entry.header().entry_type() {
            EntryType::Directory => place.folder(mode | Mode::S_IRWXU)?,
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                self.file(&place, mode, entry)?;
            }
            EntryType::Symlink => place.symlink(&link_name(entry)?)?,
            EntryType::Link => return self.hard_link(&place, &link_name(entry)?),
            EntryType::Fifo => place.fifo(mode)?,
            EntryType::Char | EntryType::Block => {
                self.devices.push(name.to_path_buf());
                return Ok(());
            }
            EntryType::XGlobalHeader => return Ok(()),
            other => bail!("its type {:?} is unknown", char::from(other.as_byte())),
        }
        if self.keep_owners {
            let (user, group) = (entry.header().uid()?, entry.header().gid()?);
            place.give_to(
                Uid::from_raw(u32::try_from(user)?),
                Gid::from_raw(u32::try_from(group)?),
            )?;
        }
        Ok(())
    }

    fn file<R: Read>(&self, place: &Place, mode: Mode, entry: &mut Entry<R>) -> Result<()> {
        let size = entry.size();
        // A few bytes can claim to be a file of any size, mostly holes.
        let disk = statvfs(self.root).context("cannot ask how much room the disk has")?;
        // Both are shorter numbers on 32 bits.
        let free = (disk.blocks_available() as u64).saturating_mul(disk.fragment_size() as u64);
        if size > free {
            let reason = format!("it is {size} bytes long and the disk has room for {free}");
            return Err(io::Error::from(ErrorKind::StorageFull)).context(reason);
        }
        let mut file = place.file(mode)?;
        let written = io::copy(entry, &mut file)?;
        if written != size {
            bail!("the archive is cut short here");
        }
        let modified =
            SystemTime::UNIX_EPOCH + Duration::from_secs(entry.header().mtime()?.min(MAX_TIME));
        Ok(file.set_modified(modified)?)
    }

    fn hard_link(&self, place: &Place, target: &Path) -> Result<()> {
        let what = || format!("it is a hard link to {target:?}");
        match self.inside.place(target).with_context(what)? {
            Some(other) => place.hard_link(&other).with_context(what),
            None => bail!("it is a hard link to the root folder"),
        }
    }

    fn warnings(&self) -> Vec<String> {
        let Some(first) = self.devices.first() else { return Vec::new() };
        let count = self.devices.len();
        vec![format!("left out {count} devices, such as {first:?}: containers get their own")]
    }
}

fn is_disk_full(error: &anyhow::Error) -> bool {
    let full = |error: &io::Error| error.kind() == ErrorKind::StorageFull;
    error.chain().any(|cause| {
        cause.downcast_ref().is_some_and(full) || cause.downcast_ref() == Some(&Errno::ENOSPC)
    })
}

/// The year 9999.
const MAX_TIME: u64 = 253_402_300_799;

/// The permissions. Not set-user-ID and set-group-ID: the file may come to belong to someone for
/// whom they are not meant, and a container's user is root already.
fn mode<R: Read>(entry: &Entry<R>) -> Result<Mode> {
    Ok(Mode::from_bits_truncate(entry.header().mode()? & 0o1777))
}

fn link_name<R: Read>(entry: &Entry<R>) -> Result<PathBuf> {
    let name = entry.link_name()?.context("it is a link to nothing")?;
    Ok(name.into_owned())
}
