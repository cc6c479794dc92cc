//! The file system of a dialogue: the device's own files, shared, and what the visitor changed, held in memory.

use super::device::Device;
use super::limits::Limits;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What stands at a path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Entry {
    /// A directory.
    Directory,
    /// A file.
    File {
        /// Its content.
        content: Arc<Vec<u8>>,
        /// Whether it may be executed.
        executable: bool,
    },
    /// A device that swallows what is written, and is empty.
    Null,
}

/// Files by absolute path.
pub type Tree = BTreeMap<String, Entry>;

/// Names of applets that have a file of their own.
const APPLETS: [&str; 34] = [
    "ash", "busybox", "cat", "chmod", "cp", "date", "dd", "df", "echo", "grep", "hostname", "kill", "ls", "mkdir",
    "mount", "mv", "ping", "ps", "pwd", "rm", "sh", "sleep", "touch", "umount", "uname", "wget", "tftp", "head",
    "tail", "id", "free", "top", "nc", "which",
];

/// Files of a fresh device.
pub fn base(device: &Device, host: &str) -> Tree {
    let mut tree = Tree::new();
    let directory = |tree: &mut Tree, path: &str| {
        let mut at = String::new();
        for part in path.split('/').filter(|part| !part.is_empty()) {
            at.push('/');
            at.push_str(part);
            tree.entry(at.clone()).or_insert(Entry::Directory);
        }
    };
    tree.insert("/".into(), Entry::Directory);
    for path in ["/bin", "/sbin", "/dev", "/etc", "/proc", "/proc/self", "/proc/net", "/sys", "/tmp", "/usr", "/lib"] {
        directory(&mut tree, path);
    }
    for path in ["/dev/null", "/dev/zero", "/dev/urandom", "/dev/random", "/dev/tty", "/dev/mtdblock0", "/dev/watchdog"]
    {
        tree.insert(path.into(), Entry::Null);
    }
    let program = Arc::new(elf(device));
    for name in APPLETS.iter().filter(|name| !device.without.iter().any(|missing| missing == *name)) {
        tree.insert(format!("/bin/{name}"), Entry::File { content: program.clone(), executable: true });
    }
    let text = |content: String| Entry::File { content: Arc::new(content.into_bytes()), executable: false };
    tree.insert("/proc/self/exe".into(), Entry::File { content: program.clone(), executable: true });
    tree.insert(
        "/proc/version".into(),
        text(format!("Linux version {} (root@{host}) {}\n", device.release, device.version)),
    );
    tree.insert("/proc/net/tcp".into(), text("  sl  local_address rem_address   st\n".into()));
    for line in &device.processes {
        let mut words = line.split_whitespace();
        let (Some(pid), command) = (words.next(), words.skip(3).collect::<Vec<_>>().join("\0")) else { continue };
        directory(&mut tree, &format!("/proc/{pid}"));
        tree.insert(format!("/proc/{pid}/cmdline"), text(command.trim_start_matches('[').to_owned()));
        tree.insert(format!("/proc/{pid}/exe"), Entry::File { content: program.clone(), executable: true });
    }
    for (path, content) in &device.files {
        let folder = path.rsplit_once('/').map_or("/", |(folder, _)| folder);
        directory(&mut tree, folder);
        if !path.ends_with('/') {
            tree.insert(path.clone(), text(content.clone()));
        }
    }
    tree
}

/// The first bytes of a program of the device's architecture: visitors read them to choose their binary (System V ABI,
/// figure 4-3). What follows is filler.
fn elf(device: &Device) -> Vec<u8> {
    let wide = device.bits == 64;
    let word = |value: u16| if device.big_endian { value.to_be_bytes() } else { value.to_le_bytes() };
    let long = |value: u32| if device.big_endian { value.to_be_bytes() } else { value.to_le_bytes() };
    let mut out = vec![0x7f, b'E', b'L', b'F', 1 + u8::from(wide), 1 + u8::from(device.big_endian), 1, 0];
    out.extend([0; 8]);
    out.extend(word(2));
    out.extend(word(device.elf_machine));
    out.extend(long(1));
    let address = |value: u32, out: &mut Vec<u8>| {
        if wide && device.big_endian {
            out.extend(long(0));
        }
        out.extend(long(value));
        if wide && !device.big_endian {
            out.extend(long(0));
        }
    };
    address(0x0040_4560, &mut out);
    address(if wide { 64 } else { 52 }, &mut out);
    address(0, &mut out);
    out.extend(long(if device.elf_machine == 8 { 0x5000_1007 } else { 0 }));
    for value in [if wide { 64 } else { 52 }, if wide { 56 } else { 32 }, 4, if wide { 64 } else { 40 }, 0, 0] {
        out.extend(word(value));
    }
    out.resize(4_096, 0);
    out
}

/// The files of one dialogue.
#[derive(Debug)]
pub struct Files {
    base: Arc<Tree>,
    /// What the visitor made (some) or removed (none).
    changed: BTreeMap<String, Option<Entry>>,
    /// Programs that the visitor brought and removed again, as loaders do: at most as many as files, and of bytes that were
    /// counted when they came.
    gone: Vec<(String, Arc<Vec<u8>>)>,
    written: usize,
    limits: Limits,
    /// Whether something did not fit.
    pub full: bool,
}

impl Files {
    /// A fresh device.
    pub fn new(base: Arc<Tree>, limits: Limits) -> Self {
        Files { base, changed: BTreeMap::new(), gone: Vec::new(), written: 0, limits, full: false }
    }

    /// What stands at an absolute path.
    pub fn get(&self, path: &str) -> Option<&Entry> {
        match self.changed.get(path) {
            Some(changed) => changed.as_ref(),
            None => self.base.get(path),
        }
    }

    /// Whether a directory stands there.
    pub fn is_directory(&self, path: &str) -> bool {
        matches!(self.get(path), Some(Entry::Directory))
    }

    /// Content of a file.
    pub fn read(&self, path: &str) -> Option<Arc<Vec<u8>>> {
        match self.get(path)? {
            Entry::File { content, .. } => Some(content.clone()),
            Entry::Null => Some(Arc::default()),
            Entry::Directory => None,
        }
    }

    /// Writes or appends; false when the path cannot be written or nothing more fits.
    pub fn write(&mut self, path: &str, content: &[u8], append: bool) -> bool {
        if matches!(self.get(path), Some(Entry::Null)) {
            return true;
        }
        let folder = path.rsplit_once('/').map_or("/", |(folder, _)| if folder.is_empty() { "/" } else { folder });
        let read_only = ["/proc", "/sys", "/bin"].iter().any(|area| path.starts_with(area));
        if self.is_directory(path) || !self.is_directory(folder) || read_only {
            return false;
        }
        let fresh = !self.changed.contains_key(path);
        if self.written + content.len() > self.limits.file_bytes || fresh && self.changed.len() >= self.limits.files {
            self.full = true;
            return false;
        }
        self.written += content.len();
        // In place where the visitor's own file grows: appending in small pieces must not copy the whole each time.
        if append && let Some(Some(Entry::File { content: held, .. })) = self.changed.get_mut(path) {
            Arc::make_mut(held).extend_from_slice(content);
            return true;
        }
        let (mut whole, executable) = match self.get(path) {
            Some(Entry::File { content, executable }) if append => (content.as_ref().clone(), *executable),
            Some(Entry::File { executable, .. }) => (Vec::new(), *executable),
            _ => (Vec::new(), false),
        };
        whole.extend_from_slice(content);
        self.changed.insert(path.to_owned(), Some(Entry::File { content: Arc::new(whole), executable }));
        true
    }

    /// Puts a file down wherever it is said to go: folders on the way are made. What a real device of the kind would have is
    /// not known, and what visitors leave is to be kept.
    pub fn put(&mut self, path: &str, content: &[u8], append: bool) -> bool {
        for (at, _) in path.match_indices('/').skip(1) {
            let folder = &path[..at];
            if !self.is_directory(folder) {
                self.make_directory(folder);
            }
        }
        self.write(path, content, append)
    }

    /// Makes a directory; false when something stands there already or the folder is missing.
    pub fn make_directory(&mut self, path: &str) -> bool {
        if self.get(path).is_some() || self.changed.len() >= self.limits.files {
            return false;
        }
        self.changed.insert(path.to_owned(), Some(Entry::Directory));
        true
    }

    /// Removes a file or directory; false when nothing was there.
    pub fn remove(&mut self, path: &str) -> bool {
        let known = self.get(path).is_some();
        if let Some(Some(Entry::File { content, executable })) = self.changed.get(path)
            && (*executable || content.starts_with(b"\x7fELF") || content.starts_with(b"#!"))
            && self.gone.len() < self.limits.files
        {
            self.gone.push((path.to_owned(), content.clone()));
        }
        if known && (self.changed.contains_key(path) || self.changed.len() < self.limits.files) {
            self.changed.insert(path.to_owned(), None);
        }
        known
    }

    /// Sets or clears the executable bit; false when there is no such file.
    pub fn set_executable(&mut self, path: &str, executable: bool) -> bool {
        match self.get(path).cloned() {
            Some(Entry::File { content, .. }) => {
                if self.changed.contains_key(path) || self.changed.len() < self.limits.files {
                    self.changed.insert(path.to_owned(), Some(Entry::File { content, executable }));
                }
                true
            }
            other => other.is_some(),
        }
    }

    /// Names directly inside a directory, sorted.
    pub fn list(&self, folder: &str) -> Vec<String> {
        let start = if folder == "/" { "/".to_owned() } else { format!("{folder}/") };
        let inside = |path: &str| {
            let rest = path.strip_prefix(&start)?;
            (!rest.is_empty() && !rest.contains('/')).then(|| rest.to_owned())
        };
        let below = self.base.range(start.clone()..).take_while(|(path, _)| path.starts_with(&start));
        let there = below.filter(|(path, _)| !matches!(self.changed.get(*path), Some(None)));
        let mut names: Vec<String> = there.filter_map(|(path, _)| inside(path)).collect();
        names.extend(self.changed.iter().filter(|(_, entry)| entry.is_some()).filter_map(|(path, _)| inside(path)));
        names.sort();
        names.dedup();
        names
    }

    /// Files that the visitor left, with their content: also programs that were removed again, and no copies of the
    /// device's own.
    pub fn left(&self) -> impl Iterator<Item = (&str, &Arc<Vec<u8>>)> {
        let there = self.changed.iter().filter_map(|(path, entry)| match entry {
            Some(Entry::File { content, .. }) => Some((path.as_str(), content)),
            _ => None,
        });
        let gone = self.gone.iter().map(|(path, content)| (path.as_str(), content));
        there.chain(gone).filter(|(_, content)| !content.is_empty() && !self.is_own(content))
    }

    /// Whether a file of the device has this content.
    fn is_own(&self, content: &Arc<Vec<u8>>) -> bool {
        self.base.values().any(|entry| match entry {
            Entry::File { content: own, .. } => Arc::ptr_eq(own, content) || own == content,
            _ => false,
        })
    }
}

/// An absolute path from a word, relative to a directory; `.` and `..` are resolved.
pub fn absolute(cwd: &str, path: &str) -> String {
    let mut parts: Vec<&str> = if path.starts_with('/') { Vec::new() } else { cwd.split('/').collect() };
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).take(64).collect();
    format!("/{}", parts.join("/"))
}
