//! `cargo xtask gen`: pages that are derived from the code, and the check that they are up to date.

use crate::Outcome;
use crate::run::{cargo, output, root};

pub(crate) const HELP: &str = "\
Writes the reference pages that are derived from the code.

usage: cargo xtask gen [--check]

--check writes nothing and fails when a page differs from what the code says.

pages: docs/reference/data-dictionary.md (every column of every table, oddities, fingerprint bits)
";

/// Page, and the example of crate `model` that prints it.
const PAGES: &[(&str, &str)] = &[("docs/reference/data-dictionary.md", "data_dictionary")];
const PACKAGE: &str = "noroshi-model";

pub(crate) fn run(args: &[String]) -> Outcome {
    let check = args.iter().any(|arg| arg == "--check");
    for (page, example) in PAGES {
        let text = output(&mut cargo(&["run", "--quiet", "--locked", "-p", PACKAGE, "--example", example]))?;
        let path = root().join(page);
        let present = std::fs::read_to_string(&path).unwrap_or_default();
        if present == text {
            println!("{page}: up to date");
        } else if check {
            return Err(format!("{page} is not what the code says; run `cargo xtask gen` and commit the page"));
        } else {
            let folder = path.parent().ok_or("a page needs a folder")?;
            std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
            std::fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))?;
            println!("{page}: written");
        }
    }
    Ok(())
}
