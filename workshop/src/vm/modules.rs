//! Which modules of a kernel the machine needs, on whom each depends, and what it is for.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Without these no step can be shown.
const NEEDED: [&str; 5] = ["virtio_pci", "virtio_console", "overlay", "veth", "bridge"];

/// Packet filters, address translation, and links to play with. Nobody misses them in the steps.
const HANDY: [&str; 18] = [
    "nf_tables",
    "nft_chain_nat",
    "nft_masq",
    "nft_nat",
    "nft_ct",
    "nft_fib_ipv4",
    "nft_reject_ipv4",
    "nft_compat",
    "ip_tables",
    "iptable_nat",
    "iptable_filter",
    "xt_MASQUERADE",
    "xt_conntrack",
    "xt_nat",
    "xt_tcpudp",
    "xt_addrtype",
    "br_netfilter",
    "dummy",
];

/// A module of the kernel.
#[derive(Debug)]
pub(super) struct Module {
    pub(super) name: String,
    /// Not compressed
    pub(super) content: Vec<u8>,
}

/// What the machine needs from the modules in `folder`, each after those that it depends on.
///
/// # Errors
/// If one is neither there nor built into the kernel, or cannot be read.
pub(super) fn collect(folder: &Path) -> Result<Vec<Module>> {
    let shelf = Shelf::open(folder)?;
    let mut collected = Vec::new();
    for name in NEEDED {
        shelf.add(name, &mut collected)?;
    }
    for name in HANDY.into_iter().filter(|name| shelf.has(name)) {
        shelf.add(name, &mut collected)?;
    }
    Ok(collected)
}

/// The modules that a kernel has.
struct Shelf {
    folder: PathBuf,
    files: HashMap<String, PathBuf>,
    builtin: Vec<String>,
}

impl Shelf {
    fn open(folder: &Path) -> Result<Self> {
        let mut files = HashMap::new();
        gather(&folder.join("kernel"), &mut files)
            .with_context(|| format!("cannot read {}", folder.display()))?;
        let builtin = fs::read_to_string(folder.join("modules.builtin")).unwrap_or_default();
        let builtin = builtin.lines().filter_map(|line| name_of(Path::new(line))).collect();
        Ok(Self { folder: folder.to_path_buf(), files, builtin })
    }

    fn has(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    /// Adds a module after all that it depends on.
    fn add(&self, name: &str, collected: &mut Vec<Module>) -> Result<()> {
        if collected.iter().any(|known| known.name == name)
            || self.builtin.iter().any(|builtin| builtin == name)
        {
            return Ok(());
        }
        let Some(file) = self.files.get(name) else {
            bail!("the kernel has no module {name} in {}", self.folder.display());
        };
        let module = Module { name: name.to_string(), content: read(file)? };
        for needed in module.dependencies() {
            self.add(&needed, collected)?;
        }
        collected.push(module);
        Ok(())
    }
}

fn gather(folder: &Path, files: &mut HashMap<String, PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let (path, kind) = entry.and_then(|entry| Ok((entry.path(), entry.file_type()?)))?;
        if kind.is_dir() {
            gather(&path, files)?;
        } else if let Some(name) = name_of(&path) {
            files.insert(name, path);
        }
    }
    Ok(())
}

/// `kernel/net/ipv4/a-b.ko.xz` is the module `a_b`.
fn name_of(path: &Path) -> Option<String> {
    let (name, rest) = path.file_name()?.to_str()?.split_once(".ko")?;
    ["", ".gz", ".xz", ".zst"].contains(&rest).then(|| plain(name))
}

fn read(file: &Path) -> Result<Vec<u8>> {
    let tool = match file.extension().and_then(|extension| extension.to_str()) {
        Some("gz") => "gzip",
        Some("xz") => "xz",
        Some("zst") => "zstd",
        _ => return fs::read(file).with_context(|| format!("cannot read {}", file.display())),
    };
    let output = Command::new(tool).arg("-dc").arg(file).stderr(Stdio::null()).output();
    let output = output.with_context(|| format!("cannot start {tool}. Install it"))?;
    if !output.status.success() {
        bail!("cannot decompress {} with {tool}", file.display());
    }
    Ok(output.stdout)
}

impl Module {
    /// The modules that must be loaded before it.
    fn dependencies(&self) -> Vec<String> {
        let list = self.says("depends=").next().unwrap_or_default();
        list.split(',').filter(|name| !name.is_empty()).map(plain).collect()
    }

    /// By what other names the kernel may ask for it, as `rtnl-link-bridge`.
    fn aliases(&self) -> impl Iterator<Item = String> {
        self.says("alias=").map(|alias| plain(&alias))
    }

    /// What it says about itself in its section .modinfo, where every word ends with a zero byte.
    fn says(&self, key: &str) -> impl Iterator<Item = String> {
        let words = self.content.split(|byte| *byte == 0);
        words.filter_map(move |word| {
            Some(std::str::from_utf8(word).ok()?.strip_prefix(key)?.to_string())
        })
    }
}

/// To the kernel - and _ are the same in a module's name.
fn plain(name: &str) -> String {
    name.replace('-', "_")
}

/// A line for each module, in an order in which all could be loaded: its name, a colon, the modules
/// that it depends on, a colon, and its other names.
pub(super) fn table(modules: &[Module]) -> String {
    let line = |module: &Module| {
        let aliases = module.aliases().collect::<Vec<_>>().join(" ");
        format!("{}:{}:{aliases}\n", module.name, module.dependencies().join(" "))
    };
    modules.iter().map(line).collect()
}

/// What has to be loaded for a module, by any of its names, itself last.
pub(super) fn order<'a>(table: &'a str, wanted: &str) -> Option<Vec<&'a str>> {
    let wanted = plain(wanted);
    let lines = table.lines().filter_map(|line| {
        let (name, rest) = line.split_once(':')?;
        let (needs, aliases) = rest.split_once(':')?;
        Some((name, needs, aliases))
    });
    let is_it =
        |name: &str, aliases: &str| name == wanted || aliases.split(' ').any(|it| it == wanted);
    let (name, needs, _) = lines.into_iter().find(|(name, _, aliases)| is_it(name, aliases))?;
    let mut order = Vec::new();
    for needed in needs.split_whitespace() {
        // One that is built in is not in the table.
        order.extend(self::order(table, needed).unwrap_or_default());
    }
    order.push(name);
    Some(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_come_after_those_they_depend_on() {
        let folder = tempfile::tempdir().unwrap();
        let net = folder.path().join("kernel/net");
        fs::create_dir_all(&net).unwrap();
        fs::write(folder.path().join("modules.builtin"), "kernel/fs/overlay.ko\n").unwrap();
        for (file, depends) in [
            ("bridge.ko", "llc,st-p"),
            ("llc.ko", ""),
            ("st-p.ko", "llc"),
            ("veth.ko", ""),
            ("virtio_pci.ko", ""),
        ] {
            fs::write(net.join(file), format!("ELF\0depends={depends}\0alias=net-{file}\0"))
                .unwrap();
        }
        let error = collect(folder.path()).unwrap_err().to_string();
        assert!(error.starts_with("the kernel has no module virtio_console"), "{error}");
        fs::write(net.join("virtio_console.ko"), "ELF").unwrap();
        let modules = collect(folder.path()).unwrap();
        let names: Vec<_> = modules.iter().map(|module| module.name.as_str()).collect();
        assert_eq!(names, ["virtio_pci", "virtio_console", "veth", "llc", "st_p", "bridge"]);
        let table = table(&modules);
        assert_eq!(order(&table, "net-bridge.ko").unwrap(), ["llc", "llc", "st_p", "bridge"]);
        assert_eq!(order(&table, "st-p").unwrap(), ["llc", "st_p"]);
        assert_eq!(order(&table, "unknown"), None);
    }
}
