//! `noroshi analyze`: captures in, report out.

use crate::failure::Failure;
use noroshi_model::Prefix;
use std::path::PathBuf;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  noroshi analyze capture.pcap.gz
  noroshi analyze captures/ --monitored 198.51.100.0/24 --format html --output report.html
  zstdcat day.pcap.zst | noroshi analyze - --format json --top all";

/// Captures in, report out: who attacked whom, how, from where, with what tool.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Captures (pcap or pcapng, also gzip or zstd), directories of them, or - for standard input.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The monitored space; may be given several times. Without it the space is inferred from the data.
    #[arg(long, value_name = "CIDR")]
    monitored: Vec<Prefix>,
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    for path in &args.paths {
        if path.as_os_str() != "-" && !path.exists() {
            return Err(Failure::refused("there is no such file or directory")
                .at(path.display())
                .hint("check the spelling; a relative path starts at the current directory"));
        }
    }
    Err(Failure::failed("this build of noroshi reads no captures yet"))
}
