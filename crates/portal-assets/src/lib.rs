//! The built front end, embedded. What is embedded is decided in `build.rs`.

mod files {
    include!(concat!(env!("OUT_DIR"), "/files.rs"));
}

/// One file of the portal.
#[derive(Clone, Copy, Debug)]
pub struct File {
    /// Path below the portal's root, such as `index.html`.
    pub path: &'static str,
    /// Media type.
    pub media_type: &'static str,
    /// Changes when the content does.
    pub tag: &'static str,
    /// Content.
    pub bytes: &'static [u8],
}

/// The file at that path.
pub fn get(path: &str) -> Option<File> {
    let at = files::FILES.binary_search_by(|(name, ..)| (*name).cmp(path)).ok()?;
    let (path, media_type, tag, bytes) = files::FILES[at];
    Some(File { path, media_type, tag, bytes })
}

/// All files, by path.
pub fn all() -> impl Iterator<Item = File> {
    files::FILES.iter().map(|(path, media_type, tag, bytes)| File { path, media_type, tag, bytes })
}

/// Whether the page that says how to get the portal stands in for it.
pub const fn is_placeholder() -> bool {
    files::PLACEHOLDER
}

#[cfg(test)]
mod tests {
    #[test]
    fn there_is_always_a_first_page() {
        let page = super::get("index.html").expect("built or placeholder");
        assert!(page.media_type.starts_with("text/html"));
        assert!(super::get("../Cargo.toml").is_none());
        assert!(super::all().all(|file| super::get(file.path).is_some_and(|found| found.tag == file.tag)));
    }
}
