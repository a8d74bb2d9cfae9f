//! Makes what the page's Linux shows comparable with what was recorded elsewhere.

use std::path::Path;

use workshop::transcript::redact;

/// What the page's Linux has shown. Its panes are consoles, where the recorded ones were
/// pseudo-terminals.
pub(crate) fn shown(transcript: &str) -> String {
    let transcript = transcript.trim().replace("hvc0 ", "pts/0").replace("hvc1 ", "pts/0");
    seen(&redact(&transcript, Path::new("/workshop")))
}

/// As a reader sees it: colours are no letters, and how far apart columns are depends on the machine's
/// largest pid. A machine with 32 bits has no /lib64.
pub(crate) fn seen(text: &str) -> String {
    let line = |line: &str| {
        let mut parts = line.split('\x1b');
        let mut plain = parts.next().unwrap_or_default().to_string();
        plain.extend(parts.map(|part| part.split_once('m').unwrap_or_default().1));
        let words = plain.split_whitespace().filter(|word| *word != "/lib64");
        words.collect::<Vec<_>>().join(" ")
    };
    text.trim().lines().map(line).collect::<Vec<_>>().join("\n")
}
