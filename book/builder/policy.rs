//! The strictest content-security-policy that a page of the book works with
//! (<https://www.w3.org/TR/CSP3/>). `cargo run -p book` sends it with each page.

use sha2::{Digest, Sha256};

/// What needs no script of the page's own. The terminal makes styles as it goes, and the emulator
/// workers from its own text; `wasm-unsafe-eval` allows WebAssembly, and no eval().
const REST: &str = "style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; \
    connect-src 'self'; worker-src blob:; frame-src 'self'; base-uri 'none'; form-action 'none'";

/// The policy for a page: its inline scripts, mdBook's, are allowed one by one, by their hashes.
pub fn of(html: &str) -> String {
    let hashes: String = scripts(html)
        .map(|script| format!(" 'sha256-{}'", base64(&Sha256::digest(script.as_bytes()))))
        .collect();
    format!("default-src 'none'; script-src 'self' 'wasm-unsafe-eval'{hashes}; {REST}")
}

/// The text of each inline script.
fn scripts(html: &str) -> impl Iterator<Item = &str> {
    html.split("<script").skip(1).filter_map(|rest| {
        let (attributes, rest) = rest.split_once('>')?;
        let (script, _) = rest.split_once("</script>")?;
        (!attributes.contains("src=")).then_some(script)
    })
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, at| bits << 8 | usize::from(*chunk.get(at).unwrap_or(&0)));
        for at in 0..4 {
            let letter = char::from(LETTERS[bits >> (18 - 6 * at) & 63]);
            text.push(if at > chunk.len() { '=' } else { letter });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (bytes, text) in
            [("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn a_script_of_the_page_is_allowed_by_its_hash() {
        let policy = of("<script src=\"x.js\"></script><script>alert(1)</script>");
        let hash = "'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI='";
        assert!(policy.contains(hash) && policy.matches("sha256").count() == 1, "{policy}");
    }
}
