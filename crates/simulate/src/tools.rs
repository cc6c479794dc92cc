//! The SYN packets of scanning tools, exactly as far as their marks are known.
//!
//! Sources of the marks: Mirai's published scanner; ZMap and masscan before and after 2024 (read in their public
//! code, facts only); nmap and unicornscan after Ghiette, Blenn, Doerr, "Remote identification of port scan
//! toolchains" (NTMS 2016). The stacks of ordinary systems are there so that the marks have something to differ from.

use crate::frame::{Ip, Options, Tcp};
use crate::rng::{Rng, mix, mix2};
use noroshi_model::Addr;
use noroshi_model::finding::Tool;
use noroshi_model::packet::tcp::SYN;
use serde::{Deserialize, Serialize};

/// A tool in one of its versions, or the stack of an ordinary system.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// ZMap until March 2024 and its forks: identification 54321.
    ZmapOld,
    /// ZMap since then: identification from the validation words, options like Windows.
    Zmap,
    /// masscan until November 2023: window 1024, no options.
    MasscanOld,
    /// masscan since then: window 1024, MSS 1460.
    Masscan,
    /// Mirai and kin: sequence number equals the destination.
    Mirai,
    /// nmap SYN scan with a random sequence number.
    Nmap,
    /// nmap SYN scan whose keyed sequence number has equal halves.
    NmapHalves,
    /// unicornscan: sequence number keyed by source and ports.
    Unicornscan,
    /// Linux connecting: kernel stack.
    Linux,
    /// Windows connecting: kernel stack.
    Windows,
    /// A home-made raw-socket scanner without a known mark.
    Raw,
}

impl Variant {
    /// The published name of the tool.
    pub fn tool(self) -> Tool {
        match self {
            Variant::ZmapOld | Variant::Zmap => Tool::Zmap,
            Variant::MasscanOld | Variant::Masscan => Tool::Masscan,
            Variant::Mirai => Tool::Mirai,
            Variant::Nmap | Variant::NmapHalves => Tool::Nmap,
            Variant::Unicornscan => Tool::Unicornscan,
            Variant::Linux | Variant::Windows | Variant::Raw => Tool::Unknown,
        }
    }

    /// The name in scenarios and in the truth.
    pub fn name(self) -> &'static str {
        match self {
            Variant::ZmapOld => "zmap-old",
            Variant::Zmap => "zmap",
            Variant::MasscanOld => "masscan-old",
            Variant::Masscan => "masscan",
            Variant::Mirai => "mirai",
            Variant::Nmap => "nmap",
            Variant::NmapHalves => "nmap-halves",
            Variant::Unicornscan => "unicornscan",
            Variant::Linux => "linux",
            Variant::Windows => "windows",
            Variant::Raw => "raw",
        }
    }

    /// Whether a repeated probe repeats its sequence number; nmap draws anew, a kernel and the keyed tools do not.
    pub fn repeats(self) -> bool {
        !matches!(self, Variant::Nmap)
    }

    /// Whether the tool works without the IPv4 header that its mark lives in.
    pub fn speaks_ipv6(self) -> bool {
        !matches!(self, Variant::Mirai | Variant::Unicornscan)
    }
}

/// One run of a tool at one source: everything that stays the same while it runs follows from `key`.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Tool.
    pub variant: Variant,
    /// Sender.
    pub src: Addr,
    /// Seed of the run's constants.
    pub key: u64,
}

const WINDOWS_OPTIONS: Options = Options::new([2, 4, 5, 0xb4, 1, 3, 3, 8, 1, 1, 4, 2]);

impl Run {
    /// The SYN to one target; `try_number` counts repetitions of the same probe.
    pub fn probe(&self, dst: Addr, dport: u16, try_number: u64, rng: &mut Rng) -> (Ip, Tcp) {
        let key = self.key;
        let hops = 5 + (key >> 8) % 16;
        let random = rng.draw();
        let destination = dst.0 as u32;
        let keyed = mix2(key, u64::from(destination) << 16 | u64::from(dport));
        let mut tcp = Tcp {
            sport: (1024 + (key >> 16) % 64_000) as u16,
            dport,
            seq: keyed as u32,
            ack: 0,
            flags: SYN,
            window: 65_535,
            options: Options::NONE,
        };
        let mut id = (random >> 32) as u16;
        let mut ttl_start: u64 = 64;
        let mut dont_fragment = false;
        match self.variant {
            Variant::Mirai => {
                tcp.seq = destination;
                tcp.window = (key >> 32) as u16;
            }
            Variant::ZmapOld => {
                (id, ttl_start) = (54_321, 255);
                tcp.sport = 32_768 + (keyed >> 32) as u16 % 28_233;
                tcp.options = if key & 1 == 0 { Options::NONE } else { Options::mss(1460) };
            }
            Variant::Zmap => {
                // Four validation words of 32 bits per (source, destination): first the sequence number, second the
                // port, last the identification; a repeated probe repeats them all.
                let last = mix(keyed);
                (id, ttl_start) = (last as u16, 255);
                tcp.sport = 32_768 + ((keyed >> 32) % 28_233) as u16;
                tcp.options = WINDOWS_OPTIONS;
            }
            Variant::MasscanOld | Variant::Masscan => {
                id = (destination ^ u32::from(dport) ^ tcp.seq) as u16;
                ttl_start = 255;
                tcp.window = 1024;
                tcp.sport = (40_000 + (key >> 16) % 20_000) as u16;
                if self.variant == Variant::Masscan {
                    tcp.options = Options::mss(1460);
                }
            }
            Variant::Nmap | Variant::NmapHalves => {
                ttl_start = 37 + (key >> 24) % 23;
                (tcp.window, tcp.options) = (1024, Options::mss(1460));
                tcp.sport = 32_768 + ((key >> 16) % 30_000) as u16;
                tcp.seq = if self.variant == Variant::Nmap {
                    random as u32
                } else {
                    let half = (key >> 40) as u32 & 0xff00 | try_number as u32 & 0xff;
                    (half << 16 | half) ^ (key >> 4) as u32
                };
            }
            Variant::Unicornscan => {
                tcp.sport = (random >> 48) as u16 | 0x400;
                tcp.seq =
                    (key >> 12) as u32 ^ self.src.0 as u32 ^ (u32::from(tcp.sport) << 16).wrapping_add(dport.into());
                (ttl_start, tcp.window, tcp.options) = (128, 4128, Options::mss(1460));
            }
            Variant::Linux => {
                dont_fragment = true;
                tcp.sport = 32_768 + (keyed >> 32) as u16 % 28_232;
                tcp.window = [64_240, 29_200, 14_600, 5_840][(key >> 4) as usize & 3];
                tcp.options = linux_options((keyed >> 20) as u32);
                id = id.wrapping_add(try_number as u16);
            }
            Variant::Windows => {
                (ttl_start, dont_fragment) = (128, true);
                tcp.sport = 49_152 + (keyed >> 32) as u16 % 16_384;
                tcp.window = if key & 16 == 0 { 64_240 } else { 8_192 };
                tcp.options = WINDOWS_OPTIONS;
            }
            Variant::Raw => {
                ttl_start = [64, 128, 255][(key >> 4) as usize % 3];
                tcp.window = [5_840, 16_384, 512, 32_120, 60_000][(key >> 6) as usize % 5];
                tcp.options = if key & 3 == 0 { Options::mss(1400) } else { Options::NONE };
            }
        }
        (Ip { src: self.src, dst, ttl: (ttl_start - hops) as u8, id, dont_fragment }, tcp)
    }
}

/// MSS 1460, SACK permitted, timestamp, NOP, window scale 7.
fn linux_options(timestamp: u32) -> Options {
    let [a, b, c, d] = timestamp.to_be_bytes();
    Options::new([2, 4, 5, 0xb4, 4, 2, 8, 10, a, b, c, d, 0, 0, 0, 0, 1, 3, 3, 7])
}
