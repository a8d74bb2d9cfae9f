//! The Linux that runs in a page of the book: an emulated machine's saved state, the emulator and a
//! terminal, made from Debian's and npm's packages.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use workshop::output;

use cache::Cache;

mod cache;
mod crates;
mod files;
mod guest;
mod image;
mod kernel;
mod licences;
mod needs;
mod packages;
mod programs;
pub mod site;
mod state;
mod steps;
mod tool;
mod whole;

/// Where the assets lie that a built book gets a copy of.
pub const SITE: &str = "target/book-vm/site";

/// The sources of all this, in the workshop's folder.
const SOURCES: &str = "book/vm";

/// Builds what is not there yet or no longer fits, and returns the folder of the assets.
///
/// # Errors
/// If a tool is missing, a package cannot be fetched, or something does not build.
pub fn build(root: &Path, update: bool) -> Result<PathBuf> {
    needs::check()?;
    let cache = Cache::new(&root.join("target/book-vm"))?;
    let sources = root.join(SOURCES);
    let plan = programs::Plan::read(&sources)?;
    let packages = packages::fetch(&cache, plan.packages(), update)?;
    let kernel = kernel::build(&cache, &sources, &packages)?;
    let steps = steps::build(&cache, root, &packages)?;
    let riddles = steps::riddles(&cache, root, &packages)?;
    let helper = whole::build(&cache, root, &packages, "workshop")?;
    let runtime = whole::build(&cache, root, &packages, "final")?;
    let ours = [steps.as_path(), &riddles, &helper, &runtime];
    let programs = programs::all(&cache, &plan, &packages, &ours)?;
    let [steps, riddles, helper, runtime] = ours;
    let built = guest::Built { steps, riddles, helper, runtime };
    let files = files::pack(&cache, &guest::files(root, &programs, &built)?)?;
    let boot = programs::of(&cache, &plan, &packages, "boot")?;
    let memory = programs::of(&cache, &plan, &packages, "memory")?;
    let image = image::pack(&cache, &sources, &boot, &memory)?;
    let modules = state::modules(&cache, &sources)?;
    let machine = state::Machine { modules, packages, kernel, image, files };
    let state = state::save(&cache, &sources, &machine)?;
    let site = root.join(SITE);
    let programs = ours.map(Path::to_path_buf).to_vec();
    site::lay_out(&site, &site::Parts { sources, machine, programs, state })?;
    Ok(site)
}

/// Puts the assets into a built book, if they are there.
pub fn add_to(root: &Path, pages: &Path) -> Result<()> {
    if !is_built(root) {
        return Ok(());
    }
    let (site, into) = (root.join(SITE), pages.join("vm"));
    copy(&site, &into)
        .with_context(|| format!("cannot copy {} to {}", site.display(), into.display()))?;
    // The page's own part is the newest: none of the rest is built from it.
    for name in site::PAGE {
        site::copy(&root.join(SOURCES).join(name), &into.join(name))?;
    }
    Ok(())
}

/// Whether the assets are there.
pub fn is_built(root: &Path) -> bool {
    root.join(SITE).join(state::NAME).is_file()
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), &to)?;
        }
    }
    Ok(())
}

/// Says what takes its time now.
fn report(line: &str) {
    output::note(line);
}
