//! The QEMU process and its command line (qemu(1)).

use std::env::consts::ARCH;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::{env, thread};

use anyhow::{Context, Error, Result, anyhow, bail};
use nix::sys::prctl;
use nix::sys::signal::Signal;

use super::kernel::Kernel;
use super::{Accel, initramfs, link};
use crate::output;

/// What the machine is made of.
pub(super) struct Plan {
    pub(super) qemu: &'static str,
    /// The folder for what is to be remembered
    pub(super) cache: PathBuf,
    pub(super) kernel: Kernel,
    pub(super) initramfs: PathBuf,
    /// In megabytes
    pub(super) memory: u32,
    pub(super) accel: Accel,
}

/// The QEMU for this machine's processor.
pub(super) fn find() -> Result<&'static str> {
    let (qemu, debian, fedora, arch) = match ARCH {
        "x86_64" => {
            ("qemu-system-x86_64", "qemu-system-x86", "qemu-system-x86-core", "qemu-system-x86")
        }
        "aarch64" => (
            "qemu-system-aarch64",
            "qemu-system-arm",
            "qemu-system-aarch64-core",
            "qemu-system-aarch64",
        ),
        other => bail!("there is no virtual machine for processors of the kind {other}"),
    };
    if super::is_installed(qemu) {
        return Ok(qemu);
    }
    bail!(
        "cannot find {qemu}. Install it: on Debian and Ubuntu `sudo apt-get install {debian}`, \
         on Fedora `sudo dnf install {fedora}`, on Arch `sudo pacman -S {arch}`"
    )
}

/// A running QEMU. It is killed when this value goes.
pub(super) struct Machine {
    process: Child,
    /// To the first process inside
    pub(super) link: UnixStream,
    /// What the kernel and QEMU have to say
    pub(super) console: UnixStream,
}

impl Machine {
    /// Starts QEMU: its stdin is one end of the link, its stdout and stderr of the console.
    pub(super) fn start(plan: &Plan, accel: Accel) -> Result<Self> {
        let pair = || UnixStream::pair().context("cannot create a pair of sockets");
        let ((link, far_link), (console, far_console)) = (pair()?, pair()?);
        let far_errors = far_console.try_clone().context("cannot duplicate a socket")?;
        let stdio = |end: UnixStream| Stdio::from(OwnedFd::from(end));
        let this = env::current_exe().context("cannot tell this program's own path")?;
        let mut command = Command::new(this);
        command.args(["vm-part", "qemu", plan.qemu]).args(arguments(plan, accel));
        command.stdin(stdio(far_link)).stdout(stdio(far_console)).stderr(stdio(far_errors));
        let process = command.spawn().with_context(|| format!("cannot start {}", plan.qemu))?;
        for end in [&link, &console] {
            end.set_nonblocking(true).context("cannot make a socket non-blocking")?;
        }
        Ok(Self { process, link, console })
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Replaces this process by QEMU, which then cannot outlive its parent. Returns only on failure.
pub(super) fn become_qemu(words: &[OsString]) -> Error {
    let Some((qemu, arguments)) = words.split_first() else { return anyhow!("which QEMU?") };
    if let Err(error) = prctl::set_pdeathsig(Signal::SIGKILL) {
        return anyhow!("cannot ask to die with the parent: {}", error.desc());
    }
    let error = Command::new(qemu).args(arguments).exec();
    anyhow!("cannot start {}: {}", qemu.display(), output::reason(&error))
}

fn arguments(plan: &Plan, accel: Accel) -> Vec<OsString> {
    let kvm = accel == Accel::Kvm;
    let (machine, console) = match ARCH {
        "aarch64" => ("virt,gic-version=max", "ttyAMA0"),
        _ => ("q35", "ttyS0"),
    };
    let cpu = match ARCH {
        _ if kvm => "host",
        // Signing pointers as the architecture demands takes QEMU half of its time.
        "aarch64" => "max,pauth-impdef=on",
        _ => "max,la57=off",
    };
    let cpus = thread::available_parallelism().map_or(1, |count| count.get().min(2)).to_string();
    let memory = plan.memory.to_string();
    // The kernel hands what it finds behind -- to the first process.
    let append = format!(
        "console={console} quiet panic=-1 random.trust_cpu=on nokaslr mitigations=off \
         cryptomgr.notests lsm=capability rcupdate.rcu_expedited=1 \
         no_timer_check tsc=reliable rdinit={} -- vm-part init",
        initramfs::INIT
    );
    let port = format!("virtserialport,chardev=link,name={}", link::NAME);
    let mut words: Vec<OsString> = [
        ["-machine", machine],
        ["-accel", if kvm { "kvm" } else { "tcg,thread=multi" }],
        ["-cpu", cpu],
        ["-smp", &cpus],
        ["-m", &memory],
        ["-display", "none"],
        ["-chardev", "socket,id=console,fd=1"],
        ["-serial", "chardev:console"],
        ["-chardev", "socket,id=link,fd=0"],
        ["-device", "virtio-serial-pci"],
        ["-device", &port],
        ["-append", &append],
    ]
    .iter()
    .flatten()
    .map(OsString::from)
    .collect();
    words.extend(["-nodefaults", "-no-user-config", "-no-reboot", "-kernel"].map(OsString::from));
    words.extend([
        plan.kernel.image.clone().into(),
        "-initrd".into(),
        plan.initramfs.clone().into(),
    ]);
    words
}
