//! A worker by itself; `noroshi` starts itself as one instead. Used by tests and benchmarks.

fn main() -> std::io::Result<()> {
    noroshi_ingest::worker::serve()
}
