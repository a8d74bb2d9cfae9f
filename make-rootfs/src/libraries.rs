//! Which libraries a program loads, found by reading its ELF headers as ld.so(8) does. The program
//! is never run, as ldd(1) would.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use goblin::elf::Elf;

/// What an ELF file says about how to load it.
struct Object {
    /// Class, byte order and machine: a library must agree with its program in these.
    kind: (bool, bool, u16),
    /// PT_INTERP: the loader's path.
    loader: Option<PathBuf>,
    /// DT_NEEDED: names of libraries.
    needed: Vec<String>,
    /// DT_RPATH, which the libraries it loads inherit.
    rpath: Vec<PathBuf>,
    /// DT_RUNPATH, for its own libraries only. Where it is present, DT_RPATH does not count.
    runpath: Vec<PathBuf>,
}

/// What a program needs in order to start.
#[derive(Default)]
pub(super) struct Needs {
    /// The loader, under the path that the kernel opens.
    pub(super) loader: Option<PathBuf>,
    /// The libraries, and for some a second path: see [`Libraries`].
    pub(super) libraries: Vec<(PathBuf, Option<PathBuf>)>,
    /// Names for which no library was found.
    pub(super) missing: Vec<String>,
}

/// Finds libraries, and remembers what it has read.
///
/// The loader asks `/etc/ld.so.cache` for the libraries outside its default folders. The root
/// filesystem has no such cache, since a copy would name hundreds of files that are not there.
/// Instead a library from another folder gets a second path, a link beside the loader, which is
/// always a default folder.
pub(super) struct Libraries {
    cache: HashMap<String, Vec<PathBuf>>,
    objects: HashMap<PathBuf, Option<Rc<Object>>>,
}

/// One search: for whom and where.
struct Search<'a> {
    kind: (bool, bool, u16),
    /// The loader's own folder, without links.
    home: Option<&'a Path>,
}

impl Libraries {
    pub(super) fn new() -> Self {
        let cache = fs::read("/etc/ld.so.cache").ok();
        Self {
            cache: cache.and_then(|bytes| read_cache(&bytes)).unwrap_or_default(),
            objects: HashMap::new(),
        }
    }

    /// What `program` loads, and of the `extra` libraries those that are there. `None` if it is no
    /// ELF file.
    pub(super) fn of(&mut self, program: &Path, extra: &[&str]) -> Option<Needs> {
        let object = self.object(program)?;
        let mut needs = Needs { loader: object.loader.clone(), ..Needs::default() };
        let loader = object.loader.as_deref().and_then(|path| path.canonicalize().ok());
        let search =
            Search { kind: object.kind, home: loader.as_deref().and_then(|path| path.parent()) };
        // The loader itself is among the libraries of some libraries, by its name.
        let mut seen: HashSet<String> = object.loader.iter().filter_map(|l| file_name(l)).collect();
        let mut queue = VecDeque::from([(object, Vec::new())]);
        while let Some((object, inherited)) = queue.pop_front() {
            let (rpath, folders) = folders(&object, &inherited);
            for name in &object.needed {
                if !seen.insert(name.clone()) {
                    continue;
                }
                let Some(found) = self.find(name, &folders, &search) else {
                    needs.missing.push(name.clone());
                    continue;
                };
                queue.extend(self.object(&found.0).map(|library| (library, rpath.clone())));
                needs.libraries.push(found);
            }
        }
        for name in extra {
            if seen.insert((*name).to_owned()) {
                needs.libraries.extend(self.find(name, &[], &search));
            }
        }
        Some(needs)
    }

    fn find(
        &mut self,
        name: &str,
        folders: &[PathBuf],
        search: &Search,
    ) -> Option<(PathBuf, Option<PathBuf>)> {
        let fits = |this: &mut Self, file: &PathBuf| {
            this.object(file).is_some_and(|library| library.kind == search.kind)
        };
        if name.contains('/') {
            let file = PathBuf::from(name);
            return fits(self, &file).then_some((file, None));
        }
        let near = search.home.into_iter().flat_map(default_folders);
        let mut files = folders.iter().cloned().chain(near).map(|folder| folder.join(name));
        if let Some(file) = files.find(|file| fits(self, file)) {
            return Some((file, None));
        }
        let cached = self.cache.get(name).cloned().unwrap_or_default();
        let far = other_folders().into_iter().map(|folder| folder.join(name));
        let file = cached.into_iter().chain(far).find(|file| fits(self, file))?;
        Some((file, search.home.map(|home| home.join(name))))
    }

    fn object(&mut self, file: &Path) -> Option<Rc<Object>> {
        if let Some(known) = self.objects.get(file) {
            return known.clone();
        }
        let object = read_object(file).map(Rc::new);
        self.objects.insert(file.to_path_buf(), object.clone());
        object
    }
}

/// What the object hands on to its libraries, and in which folders its own lie.
fn folders(object: &Object, inherited: &[PathBuf]) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let rpath = if object.runpath.is_empty() { object.rpath.as_slice() } else { &[] };
    let handed_on = [rpath, inherited].concat();
    let own = if object.runpath.is_empty() { handed_on.clone() } else { object.runpath.clone() };
    (handed_on, own)
}

/// The loader's own folder, and the same with or without `/usr`.
fn default_folders(home: &Path) -> [PathBuf; 2] {
    let twin = match home.strip_prefix("/usr") {
        Ok(rest) => Path::new("/").join(rest),
        Err(_) => Path::new("/usr").join(home.strip_prefix("/").unwrap_or(home)),
    };
    [home.to_path_buf(), twin]
}

/// Where libraries lie on a machine without ld.so.cache, as with musl.
fn other_folders() -> Vec<PathBuf> {
    let arch = std::env::consts::ARCH;
    let musl = fs::read_to_string(format!("/etc/ld-musl-{arch}.path")).unwrap_or_default();
    let listed = musl.split([':', '\n']).map(str::trim).filter(|folder| folder.starts_with('/'));
    listed
        .chain(["/lib", "/usr/lib", "/lib64", "/usr/lib64", "/usr/local/lib"])
        .map(PathBuf::from)
        .collect()
}

fn file_name(path: &Path) -> Option<String> {
    Some(path.file_name()?.to_string_lossy().into_owned())
}

fn read_object(file: &Path) -> Option<Object> {
    let mut magic = [0; 4];
    let mut opened = fs::File::open(file).ok()?;
    opened.read_exact(&mut magic).ok().filter(|()| magic == *b"\x7fELF")?;
    let bytes = fs::read(file).ok()?;
    let elf = Elf::parse(&bytes).ok()?;
    let real = file.canonicalize().ok()?;
    let origin = real.parent()?.to_string_lossy().into_owned();
    let folders = |entries: &[&str]| {
        let paths = entries.iter().flat_map(|entry| entry.split(':'));
        paths
            .map(|path| path.replace("${ORIGIN}", &origin).replace("$ORIGIN", &origin))
            .filter(|path| path.starts_with('/'))
            .map(PathBuf::from)
            .collect()
    };
    Some(Object {
        kind: (elf.is_64, elf.little_endian, elf.header.e_machine),
        loader: elf.interpreter.map(PathBuf::from),
        needed: elf.libraries.iter().map(ToString::to_string).collect(),
        rpath: folders(&elf.rpaths),
        runpath: folders(&elf.runpaths),
    })
}

/// The names in ld.so.cache and where they lie: 48 bytes of header, 24 bytes for each library, then
/// the strings, to which offsets lead from the header's start. An older table may come before it.
fn read_cache(bytes: &[u8]) -> Option<HashMap<String, Vec<PathBuf>>> {
    const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
    let start = bytes.windows(MAGIC.len()).position(|window| window == MAGIC)?;
    let bytes = &bytes[start..];
    let number = |at: usize| -> Option<usize> {
        let field = bytes.get(at..at + 4)?.try_into().ok()?;
        usize::try_from(u32::from_ne_bytes(field)).ok()
    };
    let string = |at: usize| -> Option<String> {
        let text = bytes.get(at..)?.split(|byte| *byte == 0).next()?;
        String::from_utf8(text.to_vec()).ok()
    };
    let mut libraries: HashMap<String, Vec<PathBuf>> = HashMap::new();
    for index in 0..number(MAGIC.len())? {
        let entry = 48 + 24 * index;
        // Variants for certain processors only have bits set here; the plain ones serve everyone.
        if bytes.get(entry + 16..entry + 24)? == [0; 8] {
            let (name, file) = (string(number(entry + 4)?)?, string(number(entry + 8)?)?);
            libraries.entry(name).or_default().push(file.into());
        }
    }
    Some(libraries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_programs_libraries_fit_it_and_are_there() {
        let mut libraries = Libraries::new();
        let needs = libraries.of(Path::new("/bin/bash"), &["libnone.so.9"]).unwrap();
        assert!(needs.missing.is_empty(), "{:?}", needs.missing);
        for (file, _) in &needs.libraries {
            assert!(file.is_file(), "{}", file.display());
        }
        let names: Vec<_> =
            needs.libraries.iter().filter_map(|(file, _)| file_name(file)).collect();
        assert!(names.iter().any(|name| name.starts_with("libc.")), "{names:?}");
        assert!(!names.iter().any(|name| name.starts_with("ld-linux")), "{names:?}");
    }

    #[test]
    fn text_and_truncated_files_are_no_programs() {
        let mut libraries = Libraries::new();
        assert!(libraries.of(Path::new("/etc/passwd"), &[]).is_none());
        assert!(libraries.of(Path::new("/nowhere"), &[]).is_none());
    }

    #[test]
    fn the_cache_is_read_and_damage_is_no_panic() {
        let Ok(bytes) = fs::read("/etc/ld.so.cache") else { return };
        let cache = read_cache(&bytes).unwrap();
        assert!(cache.keys().any(|name| name.starts_with("libc.so")), "{:?}", cache.keys());
        for length in 0..bytes.len().min(400) {
            read_cache(&bytes[..length]);
        }
    }
}
