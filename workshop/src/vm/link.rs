//! What the two ends of the machine say to each other: frames of one kind byte, four bytes of
//! length and the content.

use std::ffi::OsString;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// The channel's name, by which the first process inside finds it.
pub(super) const NAME: &str = "workshop";

/// What a frame is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// From inside: everything is set up
    Ready,
    /// From outside: a [`Job`] in JSON
    Run,
    /// From outside: what is typed; nothing at all is the end
    Input,
    /// From outside: the terminal's rows and columns, as `24 80`
    Resize,
    /// From inside: the command's stdout
    Output,
    /// From inside: the command's stderr
    Errors,
    /// From inside: the command's exit status, in one byte
    Exit,
    /// From inside: why there is no exit status
    Failed,
}

const KINDS: [Kind; 8] = [
    Kind::Ready,
    Kind::Run,
    Kind::Input,
    Kind::Resize,
    Kind::Output,
    Kind::Errors,
    Kind::Exit,
    Kind::Failed,
];

/// A command, and the world that it expects.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Job {
    pub(super) command: Vec<OsString>,
    pub(super) environment: Vec<(OsString, OsString)>,
    /// Rows and columns, if it gets a terminal
    pub(super) terminal: Option<(u16, u16)>,
    pub(super) hierarchy: Hierarchy,
}

/// How the machine's cgroups are mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
pub(super) enum Hierarchy {
    V2,
    Hybrid,
}

/// A frame's bytes.
pub(super) fn frame(kind: Kind, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX).to_le_bytes();
    [&[kind as u8], &length[..], content].concat()
}

/// Puts frames together again from pieces of any size.
#[derive(Default)]
pub(super) struct Decoder(Vec<u8>);

impl Decoder {
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The next frame, if it is complete.
    pub(super) fn next(&mut self) -> Option<(Kind, Vec<u8>)> {
        let (head, rest) = self.0.split_first_chunk::<5>()?;
        let [kind, length @ ..] = *head;
        let length = usize::try_from(u32::from_le_bytes(length)).ok()?;
        let content = rest.get(..length)?.to_vec();
        self.0.drain(..head.len() + length);
        match KINDS.get(usize::from(kind)) {
            Some(kind) => Some((*kind, content)),
            None => self.next(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_being_cut_anywhere() {
        let all: Vec<u8> =
            KINDS.iter().flat_map(|kind| frame(*kind, &[*kind as u8; 300])).collect();
        for size in [1, 4, 7, 1000, all.len()] {
            let mut decoder = Decoder::default();
            let mut seen = Vec::new();
            for piece in all.chunks(size) {
                decoder.feed(piece);
                while let Some((kind, content)) = decoder.next() {
                    assert_eq!(content, [kind as u8; 300]);
                    seen.push(kind);
                }
            }
            assert_eq!(seen, KINDS, "pieces of {size}");
        }
    }

    #[test]
    fn arguments_that_are_no_text_arrive() {
        use std::os::unix::ffi::OsStringExt;
        let job = Job {
            command: vec!["a b".into(), OsString::from_vec(vec![0xff, b'"'])],
            environment: vec![("TERM".into(), "xterm".into())],
            terminal: Some((24, 80)),
            hierarchy: Hierarchy::Hybrid,
        };
        let json = serde_json::to_vec(&job).unwrap();
        assert_eq!(serde_json::from_slice::<Job>(&json).unwrap(), job);
    }
}
