//! Between the process that starts a container and the new process: the network and word that it
//! may go on, word of what went wrong, and the terminal (unix(7)).

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg,
    sendmsg, socketpair,
};

use crate::kernel;
use crate::message::Failure;

/// One end. What is sent arrives whole or not at all.
pub(crate) struct Channel(OwnedFd);

/// What can be said.
#[derive(Debug)]
pub(crate) enum Message {
    /// To the child: what it needs from outside is there.
    Go,
    /// To the child: the network namespace that it is to enter.
    Network(OwnedFd),
    /// To the parent: the terminal that the command will have.
    Terminal(OwnedFd),
    /// To the parent: the lines of a trace.
    Trace(String),
    /// To the parent: it went wrong.
    Failed(Failure),
    /// To the parent: the command cannot be executed, and why. This is what the trampoline says.
    NoExec(Errno),
}

/// Longer error messages are cut.
const LONGEST: usize = 32 << 10;

impl Channel {
    /// Both ends. Starting a program closes them: the other side then finds the end.
    pub(crate) fn pair() -> Result<(Self, Self)> {
        let (kind, flags) = (SockType::SeqPacket, SockFlag::SOCK_CLOEXEC);
        let (one, other) =
            socketpair(AddressFamily::Unix, kind, None, flags).context("cannot make a socket")?;
        Ok((Self(one), Self(other)))
    }

    pub(crate) fn send(&self, message: &Message) -> Result<()> {
        let (head, text, descriptor) = match message {
            Message::Go => ([b'G', 0], "", None),
            Message::Network(namespace) => ([b'N', 0], "", Some(namespace.as_raw_fd())),
            Message::Terminal(terminal) => ([b'T', 0], "", Some(terminal.as_raw_fd())),
            Message::Trace(lines) => ([b'D', 0], lines.as_str(), None),
            Message::NoExec(error) => ([b'E', *error as u8], "", None),
            Message::Failed(failure) => ([b'F', failure.status], failure.message.as_str(), None),
        };
        let text = &text.as_bytes()[..text.len().min(LONGEST)];
        let parts = [IoSlice::new(&head), IoSlice::new(text)];
        let descriptors: Vec<_> = descriptor.into_iter().collect();
        let rights = [ControlMessage::ScmRights(&descriptors)];
        let rights = if descriptors.is_empty() { &[][..] } else { &rights[..] };
        // Nobody may be listening any more: an error then, not the end by SIGPIPE.
        let flags = MsgFlags::MSG_NOSIGNAL;
        sendmsg::<()>(self.0.as_raw_fd(), &parts, rights, flags, None)
            .context("cannot tell the other process")?;
        Ok(())
    }

    /// Waits for the next message; none if the other end is closed.
    pub(crate) fn receive(&self) -> Result<Option<Message>> {
        let mut buffer = vec![0; LONGEST + 2];
        let mut space = nix::cmsg_space!([std::os::fd::RawFd; 1]);
        let (length, descriptor) = loop {
            let mut parts = [IoSliceMut::new(&mut buffer)];
            let flags = MsgFlags::MSG_CMSG_CLOEXEC;
            let socket = self.0.as_raw_fd();
            let received = match recvmsg::<()>(socket, &mut parts, Some(&mut space), flags) {
                // It ended before it had read everything. What it said before comes next.
                Err(Errno::ECONNRESET) => continue,
                received => received.context("cannot hear from the other process")?,
            };
            let rights = received.cmsgs().context("cannot receive a descriptor")?;
            let mut descriptors = rights.flat_map(|control| match control {
                ControlMessageOwned::ScmRights(descriptors) => descriptors,
                _ => Vec::new(),
            });
            break (received.bytes, descriptors.next().map(kernel::received));
        };
        let Some([kind, status]) = buffer[..length].first_chunk() else { return Ok(None) };
        let text = || String::from_utf8_lossy(&buffer[2..length]).into_owned();
        Ok(Some(match (kind, descriptor) {
            (b'G', _) => Message::Go,
            (b'N', Some(namespace)) => Message::Network(namespace),
            (b'T', Some(terminal)) => Message::Terminal(terminal),
            (b'D', _) => Message::Trace(text()),
            (b'E', _) => Message::NoExec(Errno::from_raw(i32::from(*status))),
            (b'F', _) => Message::Failed(Failure { status: *status, message: text() }),
            _ => bail!("the other process said what nobody understands"),
        }))
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
