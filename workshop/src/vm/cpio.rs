//! Writes a cpio archive in the format `newc`, which the kernel unpacks into memory (see
//! Documentation/driver-api/early-userspace/buffer-format.rst in its source).

use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const FOLDER: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;

/// An archive that is being written. Everything in it belongs to root.
pub struct Archive<W: Write> {
    out: W,
    count: u32,
}

impl<W: Write> Archive<W> {
    /// Begins one.
    pub fn new(out: W) -> Self {
        Self { out, count: 0 }
    }

    /// Adds a folder.
    pub fn folder(&mut self, path: &Path) -> io::Result<()> {
        self.entry(path.as_os_str().as_bytes(), FOLDER | 0o755, &[])
    }

    /// Adds a file.
    pub fn file(&mut self, path: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
        self.entry(path.as_os_str().as_bytes(), FILE | mode, content)
    }

    /// Adds what is in the folder `from`, recursively, as if it were in `to`. Devices and sockets
    /// are left out.
    pub fn tree(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let mut entries = fs::read_dir(from)?.collect::<io::Result<Vec<_>>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let (path, name) = (entry.path(), to.join(entry.file_name()));
            let data = entry.metadata()?;
            let mode = data.permissions().mode() & 0o7777;
            let name_bytes = name.as_os_str().as_bytes();
            if data.is_symlink() {
                let target = fs::read_link(&path)?;
                self.entry(name_bytes, LINK | 0o777, target.as_os_str().as_bytes())?;
            } else if data.is_dir() {
                self.entry(name_bytes, FOLDER | mode, &[])?;
                self.tree(&path, &name)?;
            } else if data.is_file() {
                self.entry(name_bytes, FILE | mode, &fs::read(&path)?)?;
            }
        }
        Ok(())
    }

    /// Ends the archive and hands the writer back.
    pub fn finish(mut self) -> io::Result<W> {
        self.entry(b"TRAILER!!!", 0, &[])?;
        self.out.flush()?;
        Ok(self.out)
    }

    /// A header of 8-digit fields, the name and the content, each padded to four bytes.
    fn entry(&mut self, name: &[u8], mode: u32, content: &[u8]) -> io::Result<()> {
        let too_long = |_| io::Error::from(io::ErrorKind::FileTooLarge);
        self.count += 1;
        let name_size = u32::try_from(name.len() + 1).map_err(too_long)?;
        let size = u32::try_from(content.len()).map_err(too_long)?;
        // ino, mode, uid, gid, nlink, mtime, filesize, device (2), its own device (2), namesize, check
        let fields = [self.count, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0];
        write!(self.out, "070701")?;
        for field in fields {
            write!(self.out, "{field:08x}")?;
        }
        self.out.write_all(name)?;
        self.pad(110 + name.len(), 1)?;
        self.out.write_all(content)?;
        self.pad(content.len(), 0)
    }

    /// Zero bytes up to a multiple of four, at least so many.
    fn pad(&mut self, written: usize, at_least: usize) -> io::Result<()> {
        let size = (written + at_least).next_multiple_of(4) - written;
        self.out.write_all(&[0; 8][..size])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_made_of_padded_entries() {
        let mut archive = Archive::new(Vec::new());
        archive.folder(Path::new("a")).unwrap();
        archive.file(Path::new("a/b c"), 0o644, b"hello").unwrap();
        let bytes = archive.finish().unwrap();
        let text = String::from_utf8(bytes.clone()).unwrap();
        let starts: Vec<_> = text.match_indices("070701").map(|(at, _)| at).collect();
        // 110 + "a\0" is a multiple of four; 110 + "a/b c\0" is, too, and hello takes eight.
        assert_eq!(starts, [0, 112, 112 + 116 + 8]);
        assert_eq!(bytes.len() % 4, 0);
        assert_eq!(&text[112 + 14..112 + 22], "000081a4");
        assert_eq!(&text[112 + 110..][..14], "a/b c\0hello\0\0\0");
        assert!(text.ends_with("TRAILER!!!\0\0\0\0"));
    }
}
