//! The strictest content-security-policy that a page of the book works with
//! (<https://www.w3.org/TR/CSP3/>). `cargo run -p book` sends it with each page.

use data_encoding::BASE64;
use sha2::{Digest, Sha256};

/// What needs no script of the page's own. The terminal makes styles as it goes, and the emulator
/// workers from its own text; `wasm-unsafe-eval` allows WebAssembly, and no eval().
const REST: &str = "style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; \
    connect-src 'self'; worker-src blob:; frame-src 'self'; base-uri 'none'; form-action 'none'";

/// The policy for a page: its inline scripts, mdBook's, are allowed one by one, by their hashes.
pub fn of(html: &str) -> String {
    let hashes: String = scripts(html)
        .map(|script| format!(" 'sha256-{}'", BASE64.encode(&Sha256::digest(script.as_bytes()))))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_of_the_page_is_allowed_by_its_hash() {
        let policy = of("<script src=\"x.js\"></script><script>alert(1)</script>");
        let hash = "'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI='";
        assert!(policy.contains(hash) && policy.matches("sha256").count() == 1, "{policy}");
    }
}
