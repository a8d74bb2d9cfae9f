//! Checks the finished pages: every link leads somewhere, and nothing comes from another host.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Pages that only repeat others, or are no chapters.
const LEFT_OUT: [&str; 3] = ["print.html", "toc.html", "404.html"];

/// A page's ids and the addresses that it names.
#[derive(Default)]
struct Page {
    ids: HashSet<String>,
    /// Tag, attribute and address.
    addresses: BTreeSet<(String, String, String)>,
}

/// A dead link, or something from elsewhere.
pub struct Fault {
    /// The chapter's file, as `step05-pid.md`.
    pub chapter: String,
    /// The address as it stands there.
    pub address: String,
    /// What is wrong with it.
    pub what: &'static str,
}

/// Reads all pages of a folder and names what is wrong.
pub fn faults(folder: &Path) -> Result<Vec<Fault>> {
    let mut pages = HashMap::new();
    for entry in
        fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?
    {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".html") && !LEFT_OUT.contains(&name.as_str()) {
            let html = fs::read_to_string(folder.join(&name))
                .with_context(|| format!("cannot read the page {name}"))?;
            pages.insert(name, read(&html));
        }
    }
    let mut faults = Vec::new();
    for (name, page) in &pages {
        for (tag, attribute, address) in &page.addresses {
            if let Some(what) = wrong(folder, &pages, name, (tag, attribute, address)) {
                let (chapter, address) = (name.replace(".html", ".md"), address.clone());
                faults.push(Fault { chapter, address, what });
            }
        }
    }
    faults.sort_by(|one, other| one.chapter.cmp(&other.chapter));
    Ok(faults)
}

fn wrong(
    folder: &Path,
    pages: &HashMap<String, Page>,
    name: &str,
    (tag, attribute, address): (&str, &str, &str),
) -> Option<&'static str> {
    let is_elsewhere = address.contains("://") || address.starts_with("//");
    if is_elsewhere {
        return (tag != "a" || attribute != "href").then_some("is loaded from another host");
    }
    if address.starts_with("data:") || address.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = address.split_once('#').unwrap_or((address, ""));
    let path = path.split('?').next().unwrap_or_default();
    let path = if path.is_empty() { name } else { path.trim_start_matches("./") };
    if !folder.join(path).is_file() {
        return Some(if tag == "img" { "is no image" } else { "leads nowhere" });
    }
    let page = pages.get(path)?;
    (!anchor.is_empty() && !page.ids.contains(anchor))
        .then_some("leads to no such place on its page")
}

/// Ids and addresses of a page. Text in it has no `<` of its own.
fn read(html: &str) -> Page {
    let mut page = Page::default();
    for tag in html.split('<').skip(1) {
        let Some((tag, _)) = tag.split_once('>') else { continue };
        let name = tag.split([' ', '\n', '\t']).next().unwrap_or_default();
        let mut rest = &tag[name.len()..];
        while let Some((attribute, after)) = rest.split_once("=\"") {
            let Some((value, after)) = after.split_once('"') else { break };
            let attribute = attribute.trim();
            let value = value.replace("&amp;", "&");
            match attribute {
                "id" => drop(page.ids.insert(value)),
                "href" | "src" | "srcset" | "action" | "data" | "poster" => {
                    page.addresses.insert((name.to_string(), attribute.to_string(), value));
                }
                _ => {}
            }
            rest = after;
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_addresses_are_found() {
        let page = read("<p id=\"a\">x &lt;a href=\"no\"></p><img alt=\"b\" src=\"x.png\">");
        assert!(page.ids.contains("a"));
        let addresses: Vec<_> = page.addresses.into_iter().collect();
        assert_eq!(addresses, [("img".into(), "src".into(), "x.png".into())]);
    }
}
