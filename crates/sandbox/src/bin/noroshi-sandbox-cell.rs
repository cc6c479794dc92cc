//! The cell by itself; `noroshi` starts itself as one instead. Used by tests.

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(2).collect();
    noroshi_sandbox::cell::serve(&arguments)
}
