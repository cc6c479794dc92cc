//! The program `noroshi`. Everything is in the library, so that tests and benchmarks reach it.

fn main() -> std::process::ExitCode {
    noroshi_cli::main()
}
