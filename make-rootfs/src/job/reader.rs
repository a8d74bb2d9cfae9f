//! Reading what may take long to arrive.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::Job;

impl<'a> Job<'a> {
    /// Reads from `source` and lets a signal end the wait for it.
    pub(crate) fn read<R: Read + AsFd>(&self, source: R) -> Reader<'_, R> {
        Reader { job: self, source }
    }
}

/// Counts the bytes that pass.
pub(crate) struct Reader<'a, R> {
    job: &'a Job<'a>,
    source: R,
}

impl<R: Read + AsFd> Read for Reader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        wait(self.source.as_fd(), self.job.signals.as_fd())?;
        self.job.step(0).map_err(io::Error::other)?;
        let read = self.source.read(buffer)?;
        self.job.step(read as u64).map_err(io::Error::other)?;
        Ok(read)
    }
}

/// Waits until one of the two has something to read.
fn wait(one: BorrowedFd, other: BorrowedFd) -> io::Result<()> {
    let mut both = [PollFd::new(one, PollFlags::POLLIN), PollFd::new(other, PollFlags::POLLIN)];
    match poll(&mut both, PollTimeout::NONE) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
