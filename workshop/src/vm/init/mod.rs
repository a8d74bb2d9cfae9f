//! The first process inside the machine. It mounts what a machine has, loads the modules, and then
//! runs the one command that it is told over the link.

use std::fs::File;
use std::io::{Read, Write};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use nix::unistd;

use super::link::{Decoder, Job, Kind, frame};

mod cgroups;
mod command;
mod devices;
mod mounts;

pub(super) use devices::modprobe;

/// Runs the machine. The outer end kills it as soon as it has been told the command's end, so this
/// returns only if there is no outer end to talk to: the kernel then panics, and QEMU ends.
pub(super) fn init() -> Result<ExitCode> {
    if unistd::getpid().as_raw() != 1 {
        bail!("this is the first process of the virtual machine. Start one: cargo workshop vm");
    }
    mounts::mount_all()?;
    devices::load_drivers()?;
    let mut link = Link::open()?;
    link.send(Kind::Ready, &[]);
    let job = link.receive_job()?;
    command::run(&job, link)
}

/// The channel to the outer end.
struct Link {
    input: File,
    decoder: Decoder,
    output: Sender,
}

/// The half of the link that several threads write to.
#[derive(Clone)]
struct Sender(std::sync::Arc<Mutex<File>>);

impl Link {
    fn open() -> Result<Self> {
        let port = devices::find_port()?;
        let open = || {
            let file = File::options().read(true).write(true).open(&port);
            file.with_context(|| format!("cannot open {}", port.display()))
        };
        let input = open()?;
        let output = input.try_clone().context("cannot duplicate the link")?;
        Ok(Self { input, decoder: Decoder::default(), output: Sender(Mutex::new(output).into()) })
    }

    fn send(&self, kind: Kind, content: &[u8]) {
        self.output.send(kind, content);
    }

    /// The next frame. Once nobody is outside, the machine has no reason to be.
    fn receive(&mut self) -> (Kind, Vec<u8>) {
        let mut bytes = [0; 16 * 1024];
        loop {
            if let Some(frame) = self.decoder.next() {
                return frame;
            }
            match self.input.read(&mut bytes) {
                Ok(count @ 1..) => self.decoder.feed(&bytes[..count]),
                _ => power_off(),
            }
        }
    }

    fn receive_job(&mut self) -> Result<Job> {
        let (Kind::Run, json) = self.receive() else { bail!("cannot tell what to run") };
        serde_json::from_slice(&json).context("cannot tell what to run")
    }
}

impl Sender {
    fn send(&self, kind: Kind, content: &[u8]) {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The link has no outer end any more: the reading half will see it, too.
        let _ = file.write_all(&frame(kind, content));
    }
}

fn power_off() -> ! {
    use nix::sys::reboot::{RebootMode, reboot};
    let Err(_) = reboot(RebootMode::RB_POWER_OFF);
    std::process::exit(1)
}

/// Nothing is left to do but to be killed.
fn rest() -> ! {
    loop {
        unistd::pause();
    }
}
