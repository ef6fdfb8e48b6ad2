//! Puts the dashboard's built files, `assets/`, into the program: each as it is, and compressed where that makes it smaller.
//! Nothing is compressed while the hub runs.

use std::error::Error;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::{env, fs};

use flate2::{Compression, GzBuilder};

/// Files of a page; whatever else lies there is not served.
const EXTENSIONS: [&str; 6] = ["html", "js", "css", "svg", "png", "woff2"];

fn main() -> Result<(), Box<dyn Error>> {
    let root = env::var("CARGO_MANIFEST_DIR")?;
    let out = env::var("OUT_DIR")?;
    let folder = Path::new(&root).join("assets");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=assets");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder)? {
        let name = entry?.file_name().into_string().map_err(|_| "a name in assets/ is no UTF-8")?;
        let extension = name.rsplit_once('.').map(|(_, extension)| extension);
        if extension.is_some_and(|extension| EXTENSIONS.contains(&extension)) {
            names.push(name);
        }
    }
    names.sort();
    if !names.iter().any(|name| name == "index.html") {
        return Err("assets/ has no index.html: `npm run build` in clients/dashboard writes it".into());
    }
    let mut list = String::from("[\n");
    for name in names {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if !name.bytes().all(is_plain) {
            return Err(format!("assets/{name}: such a name would be escaped in an address").into());
        }
        let path = folder.join(&name);
        let bytes = fs::read(&path)?;
        // Without a time in it, so that the same files make the same program.
        let mut encoder = GzBuilder::new().write(Vec::new(), Compression::best());
        encoder.write_all(&bytes)?;
        let compressed = encoder.finish()?;
        let mut gzip = "None".to_owned();
        if compressed.len() < bytes.len() {
            let path = Path::new(&out).join(format!("{name}.gz"));
            fs::write(&path, compressed)?;
            gzip = format!("Some(include_bytes!({path:?}))");
        }
        writeln!(list, "    Embedded {{ name: {name:?}, bytes: include_bytes!({path:?}), gzip: {gzip} }},")?;
    }
    list.push(']');
    fs::write(Path::new(&out).join("assets.rs"), list)?;
    Ok(())
}
