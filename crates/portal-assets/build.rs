//! Finds or builds the portal and lists its files for embedding.
//!
//! 1. `NOROSHI_UI_DIST` names a finished build: that is embedded (how releases are made).
//! 2. Else, where npm and `portal/node_modules` are there, the portal is built into `OUT_DIR`.
//! 3. Else a page that says how to get the portal. The program builds without Node.

use std::collections::hash_map::DefaultHasher;
use std::env;
use std::fmt::Write;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    let portal = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../../portal");
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets it"));
    println!("cargo:rerun-if-env-changed=NOROSHI_UI_DIST");
    println!("cargo:rerun-if-changed=build.rs");
    for part in [
        "src",
        "public",
        "index.html",
        "vite.config.ts",
        "package-lock.json",
        "../docs",
        "../README.md",
        "../README.ja.md",
    ] {
        if portal.join(part).exists() {
            println!("cargo:rerun-if-changed={}", portal.join(part).display());
        }
    }
    let (dist, placeholder) = match env::var_os("NOROSHI_UI_DIST") {
        Some(dist) => (PathBuf::from(dist), false),
        None => match build(&portal, &out.join("dist")) {
            Ok(dist) => (dist, false),
            Err(reason) => {
                println!("cargo:warning=the portal is not built in: {reason}");
                (write_placeholder(&out.join("placeholder")), true)
            }
        },
    };
    let mut files = Vec::new();
    collect(&dist, &dist, &mut files);
    assert!(
        files.iter().any(|(name, _)| name == "index.html"),
        "{} holds no index.html; NOROSHI_UI_DIST must name the folder that `npm run build` made",
        dist.display()
    );
    files.sort();
    fs::write(out.join("files.rs"), listing(&files, placeholder)).expect("OUT_DIR can be written");
}

fn build(portal: &Path, dist: &Path) -> Result<PathBuf, String> {
    if !portal.join("node_modules").is_dir() {
        return Err("run `npm ci` in portal/, or set NOROSHI_UI_DIST".into());
    }
    let dist_text = dist.to_str().ok_or("OUT_DIR is no text")?;
    let run = Command::new("npm")
        .args(["run", "--silent", "build", "--", "--emptyOutDir", "--outDir", dist_text])
        .current_dir(portal)
        .output()
        .map_err(|error| format!("npm does not start ({error}); install Node 20 or later"))?;
    if run.status.success() {
        return Ok(dist.to_owned());
    }
    let text = String::from_utf8_lossy(&run.stderr).into_owned();
    Err(format!("npm run build failed: {}", text.lines().take(3).collect::<Vec<_>>().join(" ")))
}

fn write_placeholder(folder: &Path) -> PathBuf {
    fs::create_dir_all(folder).expect("OUT_DIR can be written");
    fs::write(folder.join("index.html"), include_str!("placeholder.html")).expect("OUT_DIR can be written");
    folder.to_owned()
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<(String, PathBuf)>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(root, &path, files);
        } else if let Ok(relative) = path.strip_prefix(root) {
            files.push((relative.to_string_lossy().replace('\\', "/"), path.clone()));
        }
    }
}

fn listing(files: &[(String, PathBuf)], placeholder: bool) -> String {
    let mut text = format!("pub(crate) const PLACEHOLDER: bool = {placeholder};\n");
    text.push_str("pub(crate) static FILES: &[(&str, &str, &str, &[u8])] = &[\n");
    for (name, path) in files {
        let bytes = fs::read(path).expect("the file was just listed");
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        let path = fs::canonicalize(path).expect("the file was just listed");
        writeln!(text, "({name:?}, {:?}, \"{:016x}\", include_bytes!({path:?})),", media_type(name), hasher.finish())
            .expect("texts grow");
    }
    text.push_str("];\n");
    text
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "woff2" => "font/woff2",
        "webmanifest" => "application/manifest+json",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
