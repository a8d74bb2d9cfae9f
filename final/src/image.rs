//! Images: `ROOT/images/NAME.json` names the layers, which lie in `ROOT/layers`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use make_rootfs::{Progress, make_from_host};
use serde::{Deserialize, Serialize};

use crate::message::{Attempt, warn};
use crate::options::Run;
use crate::parse::Name;
use crate::state::{Store, lock};

/// The image that is made from this machine's own programs.
const HOST: &str = "host";

/// What a container is made from.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Image {
    /// The topmost first; a relative path begins in `ROOT/layers`.
    pub(crate) layers: Vec<PathBuf>,
    #[serde(default, skip_serializing_if = "Config::is_empty")]
    pub(crate) config: Config,
}

/// What runs if the command line says nothing else.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Config {
    pub(crate) entrypoint: Vec<String>,
    pub(crate) command: Vec<String>,
    /// `NAME=VALUE`
    pub(crate) env: Vec<String>,
    pub(crate) working_dir: Option<PathBuf>,
    pub(crate) user: Option<String>,
}

impl Config {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The image that the command line names.
pub(crate) fn find(store: &Store, options: &Run) -> Result<Image> {
    if options.rootfs {
        let folder = Path::new(&options.image);
        let what = format!("use {} as a root filesystem", folder.display());
        let folder = folder.canonicalize().or_cannot(&what, "Name an existing folder")?;
        if !folder.is_dir() {
            bail!("cannot {what}: it is no folder. Name a folder, or leave --rootfs out");
        }
        return Ok(Image { layers: vec![folder], config: Config::default() });
    }
    let name: Name = options
        .image
        .to_str()
        .with_context(|| format!("cannot find the image {:?}: it is not UTF-8", options.image))?
        .parse()
        .with_context(|| format!("cannot find the image {:?}", options.image))?;
    let file = store.root().join("images").join(format!("{name}.json"));
    if name.as_str() == HOST && !file.exists() {
        make_host(store, &file)?;
    }
    let cure = "There is always `host`; for a folder use --rootfs";
    let text = fs::read_to_string(&file).or_cannot(format_args!("find the image {name}"), cure)?;
    let mut image: Image = serde_json::from_str(&text).with_context(|| {
        format!("cannot understand {}. Remove it and make the image again", file.display())
    })?;
    if image.layers.is_empty() {
        bail!("cannot use the image {name}: it has no layers. Make it again");
    }
    for layer in &mut image.layers {
        *layer = store.root().join("layers").join(&*layer);
    }
    Ok(image)
}

/// Makes the image `host`. The first of several runs does, the others wait for it.
fn make_host(store: &Store, file: &Path) -> Result<()> {
    let _alone = lock(&store.root().join("images").join("lock"))?;
    if file.exists() {
        return Ok(());
    }
    let layer = store.root().join("layers").join(HOST);
    let report = make_from_host(&layer, &Progress::on_terminal())?;
    report.warnings.iter().for_each(|warning| warn(warning));
    let image = Image { layers: vec![HOST.into()], config: Config::default() };
    let text = serde_json::to_string(&image).context("cannot describe the image")?;
    let new = file.with_extension("new");
    let written = fs::write(&new, text).and_then(|()| fs::rename(&new, file));
    written.or_cannot(format_args!("write {}", file.display()), "Make room on the disk")
}
