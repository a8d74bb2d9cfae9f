//! Talks to the kernel about networks: messages of netlink(7), asked and answered at once.
//!
//! A message is a header, a fixed part that its kind prescribes, and attributes: pairs of a number
//! and a value, which can nest. Everything lies on multiples of four bytes, in the order of bytes
//! that the machine has.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};

/// Length, kind, flags, sequence number and sender: struct nlmsghdr.
const HEADER: usize = 16;

/// The kernel splits long answers so that they fit (netlink(7), NLMSG_GOODSIZE).
const ANSWER: usize = 32 * 1024;

/// The flags of a request to make what is not there yet.
pub(super) const CREATE: i32 = libc::NLM_F_CREATE | libc::NLM_F_EXCL;

/// A request under construction.
pub(super) struct Message(Vec<u8>);

impl Message {
    /// Begins a request of this kind with what its kind prescribes.
    pub(super) fn new(kind: u16, flags: i32, fixed: &[u8]) -> Self {
        let flags = (libc::NLM_F_REQUEST | flags) as u16;
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        Self(bytes).raw(fixed)
    }

    /// Asks the kernel to say what became of it, also if all went well.
    fn acknowledged(mut self) -> Self {
        let flags = u16::from_ne_bytes([self.0[6], self.0[7]]) | libc::NLM_F_ACK as u16;
        self.0[6..8].copy_from_slice(&flags.to_ne_bytes());
        self
    }

    /// Adds bytes as they are.
    pub(super) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    /// Adds an attribute.
    pub(super) fn with(self, name: u16, value: &[u8]) -> Self {
        let length = (value.len() + 4) as u16;
        self.raw(&[length.to_ne_bytes(), name.to_ne_bytes()].concat()).raw(value)
    }

    /// Adds an attribute that is a number.
    pub(super) fn number(self, name: u16, value: u32) -> Self {
        self.with(name, &value.to_ne_bytes())
    }

    /// Adds an attribute that is a text.
    pub(super) fn text(self, name: u16, value: &str) -> Self {
        self.with(name, &[value.as_bytes(), &[0]].concat())
    }

    /// Adds an attribute that is made of attributes.
    pub(super) fn nest(self, name: u16, inside: impl FnOnce(Self) -> Self) -> Self {
        let start = self.0.len();
        let mut message = inside(self.with(name | libc::NLA_F_NESTED as u16, &[]));
        let length = (message.0.len() - start) as u16;
        message.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        message
    }
}

/// A connection to the kernel. It talks about the network namespace that it was opened in, also
/// after its owner has moved to another.
pub(super) struct Socket {
    socket: OwnedFd,
    sequence: u32,
}

impl Socket {
    /// Opens a connection to a part of the kernel: NetlinkRoute, NetlinkNetFilter.
    pub(super) fn open(protocol: SockProtocol) -> Result<Self, Errno> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Has the kernel carry out one request after the other, also past one that fails, with a
    /// single system call. Answers what became of each.
    pub(super) fn carry_out(
        &mut self,
        messages: impl IntoIterator<Item = Message>,
    ) -> Result<Vec<Result<(), Errno>>, Errno> {
        let first = self.sequence.wrapping_add(1);
        let count = self.send(messages.into_iter().map(Message::acknowledged))?;
        let mut outcomes = vec![None; count];
        while outcomes.contains(&None) {
            self.receive(|answer| {
                let index = answer.sequence.wrapping_sub(first) as usize;
                if let (Some(outcome), Some(slot)) = (answer.outcome(), outcomes.get_mut(index)) {
                    *slot = Some(outcome);
                }
            })?;
        }
        Ok(outcomes.into_iter().flatten().collect())
    }

    /// Has nf_tables carry out all requests in one transaction, or none.
    pub(super) fn commit(
        &mut self,
        messages: impl IntoIterator<Item = Message>,
    ) -> Result<(), Errno> {
        let mark =
            |kind| Message::new(kind as u16, 0, &[0, 0, 0, libc::NFNL_SUBSYS_NFTABLES as u8]);
        let begin = [mark(libc::NFNL_MSG_BATCH_BEGIN)].into_iter();
        let messages = messages.into_iter().map(Message::acknowledged);
        self.send(begin.chain(messages).chain([mark(libc::NFNL_MSG_BATCH_END)]))?;
        // Answers come when the batch is through: failures as they happened, the end is silent.
        let last = self.sequence.wrapping_sub(1);
        let mut result = None;
        while result.is_none() {
            self.receive(|answer| match answer.outcome() {
                Some(outcome) if outcome.is_err() || answer.sequence == last => {
                    result.get_or_insert(outcome);
                }
                _ => {}
            })?;
        }
        result.unwrap_or(Ok(()))
    }

    /// Asks, and hands every part of the answer to `each`: what its kind prescribes, with the
    /// attributes behind it.
    pub(super) fn ask(
        &mut self,
        message: Message,
        mut each: impl FnMut(&[u8]),
    ) -> Result<(), Errno> {
        self.send([message].into_iter())?;
        let mut result = None;
        while result.is_none() {
            self.receive(|answer| {
                if let Some(outcome) = answer.outcome() {
                    result = Some(outcome);
                    return;
                }
                each(answer.content);
                // A single answer is the last one; of several, a message says so.
                if answer.flags & libc::NLM_F_MULTI as u16 == 0 {
                    result = Some(Ok(()));
                }
            })?;
        }
        result.unwrap_or(Ok(()))
    }

    /// Sends the requests in one go, and says how many they were.
    fn send(&mut self, messages: impl Iterator<Item = Message>) -> Result<usize, Errno> {
        let (mut all, mut count) = (Vec::new(), 0);
        for Message(mut bytes) in messages {
            count += 1;
            self.sequence = self.sequence.wrapping_add(1);
            let length = bytes.len() as u32;
            bytes[..4].copy_from_slice(&length.to_ne_bytes());
            bytes[8..12].copy_from_slice(&self.sequence.to_ne_bytes());
            all.extend(bytes);
        }
        send(self.socket.as_raw_fd(), &all, MsgFlags::empty())?;
        Ok(count)
    }

    /// Waits for answers and hands them over one by one.
    fn receive(&mut self, mut each: impl FnMut(Answer<'_>)) -> Result<(), Errno> {
        let mut buffer = vec![0; ANSWER];
        let length = loop {
            match recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Err(Errno::EINTR) => {}
                result => break result?,
            }
        };
        let mut rest = &buffer[..length];
        while let Some(answer) = Answer::first(rest) {
            let length = (HEADER + answer.content.len()).next_multiple_of(4);
            rest = rest.get(length..).unwrap_or_default();
            each(answer);
        }
        Ok(())
    }
}

/// A message from the kernel.
struct Answer<'a> {
    kind: u16,
    flags: u16,
    sequence: u32,
    content: &'a [u8],
}

impl<'a> Answer<'a> {
    /// The first of the messages in `bytes`.
    fn first(bytes: &'a [u8]) -> Option<Self> {
        let length = number(bytes)? as usize;
        Some(Self {
            kind: number16(bytes.get(4..)?)?,
            flags: number16(bytes.get(6..)?)?,
            sequence: number(bytes.get(8..)?)?,
            content: bytes.get(HEADER..length)?,
        })
    }

    /// What became of the request, if this message says so.
    fn outcome(&self) -> Option<Result<(), Errno>> {
        match i32::from(self.kind) {
            libc::NLMSG_ERROR | libc::NLMSG_DONE => {
                let error = number(self.content).unwrap_or(0).cast_signed();
                Some(if error == 0 { Ok(()) } else { Err(Errno::from_raw(-error)) })
            }
            _ => None,
        }
    }
}

/// The attributes in a part of an answer: number and value.
pub(super) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(number16(bytes)?);
        // The two highest bits say how to read the value, which whoever asks knows.
        let name = number16(bytes.get(2..)?)? & 0x3fff;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((name, value))
    })
}

/// The number of four bytes that `bytes` begins with.
pub(super) fn number(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|number| u32::from_ne_bytes(*number))
}

/// The number of two bytes that `bytes` begins with.
fn number16(bytes: &[u8]) -> Option<u16> {
    bytes.first_chunk().map(|number| u16::from_ne_bytes(*number))
}
