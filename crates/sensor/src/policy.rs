//! The policy in force, compiled: filter before decoding, then prefixes, sampling, payload and addresses.

use ipcrypt_rs::IpcryptPfx;
use noroshi_model::packet::{Has, Packet, PacketBatch, Rare, ToolBits};
use noroshi_model::policy::{Anonymise, FILTER_LENGTH_MAX, Policy};
use noroshi_model::{Addr, Prefix};
use noroshi_packet::capture::RawBatch;
use noroshi_packet::filter::Filter;
use noroshi_wire::message::policy_hash;
use std::sync::Arc;

/// A capture filter that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// It does not compile.
    #[error(
        "filter \"{filter}\" does not compile ({reason}); tcpdump's syntax is understood, such as \"tcp and dst port 23\""
    )]
    Syntax {
        /// As written.
        filter: String,
        /// The compiler's words.
        reason: String,
    },
}

/// Compiles a filter. The text may come from a hub that was taken over: work is bounded by its length.
pub fn compile(filter: &str) -> Result<Filter, FilterError> {
    let syntax = |reason: String| FilterError::Syntax { filter: filter.chars().take(80).collect(), reason };
    if filter.len() > FILTER_LENGTH_MAX {
        return Err(syntax("it is too long".into()));
    }
    Filter::compile(filter).map_err(|error| syntax(error.to_string()))
}

/// The effective policy, ready to be applied.
pub struct InForce {
    /// The stricter of both hands.
    pub policy: Policy,
    /// Names it in reports.
    pub hash: String,
    /// Revision of the hub's request that it answers.
    pub revision: u64,
    /// What the host should know about the request.
    pub remarks: Vec<String>,
    filters: Vec<Filter>,
    prefixes: Option<Vec<Prefix>>,
    pseudonyms: Arc<IpcryptPfx>,
}

/// Makes the cipher for prefix-preserving pseudonyms. The key stays on this sensor.
pub fn pseudonyms(key: [u8; 32]) -> Option<Arc<IpcryptPfx>> {
    // The cipher demands that its two halves differ.
    (key[..16] != key[16..]).then(|| Arc::new(IpcryptPfx::new(key)))
}

impl InForce {
    /// Joins both hands. A request that cannot be honoured as a whole is an error; the caller keeps what was in force.
    pub fn join(
        revision: u64,
        request: &Policy,
        ceiling: &Policy,
        pseudonyms: Arc<IpcryptPfx>,
    ) -> Result<InForce, String> {
        request.check().map_err(|error| error.to_string())?;
        let policy = request.stricter(ceiling);
        let filters: Result<Vec<_>, _> = policy.filter.iter().map(|filter| compile(filter)).collect();
        let mut remarks: Vec<String> = policy.changes(request);
        remarks.iter_mut().for_each(|change| change.insert_str(0, "the host's ceiling changes "));
        if policy.destination_addresses != Anonymise::None && policy.payload_bytes > 0 {
            remarks.push("payloads may repeat the addresses that are hidden; payload_bytes=0 removes them".into());
        }
        Ok(InForce {
            hash: policy_hash(&policy),
            revision,
            remarks,
            filters: filters.map_err(|error| error.to_string())?,
            prefixes: policy.prefixes.clone(),
            policy,
            pseudonyms,
        })
    }

    /// Drops the frames that a capture filter excludes, before anything is decoded. Returns how many.
    pub fn filter(&self, raw: &mut RawBatch) -> u64 {
        if self.filters.is_empty() {
            return 0;
        }
        let before = raw.records.len();
        let RawBatch { data, records, .. } = raw;
        records.retain(|record| {
            let start = record.start as usize;
            let frame = data.get(start..start + record.cap_len as usize).unwrap_or(&[]);
            // Links that a filter cannot look into let nothing pass.
            let passes = |filter: &Filter| filter.matches(record.link, frame, record.wire_len) == Some(true);
            self.filters.iter().all(passes)
        });
        (before - raw.records.len()) as u64
    }

    /// Whether the packet goes to a monitored destination.
    pub fn monitors(&self, row: &Packet) -> bool {
        match &self.prefixes {
            None => true,
            Some(prefixes) => row.has.has(Has::IP) && prefixes.iter().any(|prefix| prefix.contains(row.dst)),
        }
    }

    /// Whether that address is monitored.
    pub fn monitors_address(&self, addr: Addr) -> bool {
        self.prefixes.as_ref().is_none_or(|prefixes| prefixes.iter().any(|prefix| prefix.contains(addr)))
    }

    /// A source address as it may be kept.
    pub fn source(&self, addr: Addr) -> Addr {
        self.anonymised(addr, self.policy.source_addresses)
    }

    /// A destination address as it may be kept.
    pub fn destination(&self, addr: Addr) -> Addr {
        self.anonymised(addr, self.policy.destination_addresses)
    }

    /// Payload bytes of a packet that may be kept.
    pub fn payload<'a>(&self, captured: &'a [u8]) -> &'a [u8] {
        &captured[..captured.len().min(usize::from(self.policy.payload_bytes))]
    }

    /// Replaces addresses, wherever they stand in a row.
    pub fn hide_addresses(&self, batch: &mut PacketBatch) {
        let (source, destination) = (self.policy.source_addresses, self.policy.destination_addresses);
        if source == Anonymise::None && destination == Anonymise::None {
            return;
        }
        for row in batch.rows.iter_mut().filter(|row| row.has.has(Has::IP)) {
            hide_repeated(row);
            row.src = self.anonymised(row.src, source);
            row.dst = self.anonymised(row.dst, destination);
        }
        // Which side an inner or quoted address is on is the sender's claim, so both get the stricter treatment.
        let strict = source.max(destination);
        batch.rare.iter_mut().for_each(|rare| self.hide_rare(rare, strict));
    }

    fn hide_rare(&self, rare: &mut Rare, strict: Anonymise) {
        if let Some((src, dst)) = &mut rare.inner {
            (*src, *dst) = (self.anonymised(*src, strict), self.anonymised(*dst, strict));
        }
        if let Some(quoted) = &mut rare.quoted {
            (quoted.src, quoted.dst) = (self.anonymised(quoted.src, strict), self.anonymised(quoted.dst, strict));
        }
    }

    fn anonymised(&self, addr: Addr, how: Anonymise) -> Addr {
        match how {
            Anonymise::None => addr,
            Anonymise::PrefixPreserving => self.pseudonyms.encrypt_ipaddr(addr.ip()).into(),
            Anonymise::Truncated => addr.network().first(),
        }
    }
}

/// Some scanners repeat the destination in other fields (Mirai in the sequence number, masscan in the
/// identification); hiding the address must hide those too.
fn hide_repeated(row: &mut Packet) {
    let (src, dst) = (row.src.0 as u32, row.dst.0 as u32);
    let near = |value: u32| {
        [src, dst, src.swap_bytes(), dst.swap_bytes()].iter().any(|a| value.wrapping_sub(*a).wrapping_add(1) <= 2)
    };
    if near(row.seq) {
        row.seq = 0;
    }
    if near(row.ack) {
        row.ack = 0;
    }
    if row.tool_bits.has(ToolBits::MASSCAN) {
        row.ip_id = 0;
        row.has = Has(row.has.0 & !Has::IP_ID.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_force(request: &Policy) -> InForce {
        InForce::join(1, request, &Policy::default(), pseudonyms([3; 32].map(|_| rand::random())).unwrap()).unwrap()
    }

    #[test]
    fn hostile_filters_are_errors_not_ends() {
        for bad in ["tcp and and", "(", ")", "port 99999999999", "\u{0}", "host 1.2.3.4.5", "tcp["] {
            assert!(compile(bad).is_err(), "{bad}");
        }
        for (open, close) in [("(", ")"), ("not ", ""), ("!", "")] {
            let depth = FILTER_LENGTH_MAX / (open.len() + close.len()) - 8;
            // Either answer is fine; the point is that there is one.
            drop(compile(&format!("{}tcp{}", open.repeat(depth), close.repeat(depth))));
        }
        assert!(compile(&"tcp or ".repeat(1000)).is_err());
        compile("tcp and dst port 23 or net 192.0.2.0/24").unwrap();
    }

    #[test]
    fn hidden_addresses_do_not_survive_in_other_fields() {
        let dst = Addr::v4(0xc000_0207);
        let mut row = Packet { src: Addr::v4(0x0a01_0203), dst, seq: 0xc000_0207, ack: 0xc000_0208, ..Packet::BLANK };
        row.has = Has::IP | Has::TCP | Has::IP_ID;
        row.tool_bits = ToolBits::MIRAI | ToolBits::MASSCAN;
        row.ip_id = 77;
        let request = Policy { destination_addresses: Anonymise::Truncated, ..Policy::default() };
        let mut batch = PacketBatch { rows: vec![row], ..PacketBatch::default() };
        in_force(&request).hide_addresses(&mut batch);
        let kept = batch.rows[0];
        assert_eq!((kept.seq, kept.ack, kept.ip_id, kept.has.has(Has::IP_ID)), (0, 0, 0, false));
        assert_eq!(kept.dst.to_string(), "192.0.2.0");
        assert_eq!(kept.src.to_string(), "10.1.2.3");
    }

    #[test]
    fn pseudonyms_keep_prefixes_and_families() {
        let request = Policy { source_addresses: Anonymise::PrefixPreserving, ..Policy::default() };
        let force = in_force(&request);
        let hide = |text: &str| force.anonymised(text.parse().unwrap(), Anonymise::PrefixPreserving);
        let (a, b, c) = (hide("192.0.2.1"), hide("192.0.2.99"), hide("2001:db8::1"));
        assert!(a.is_v4() && b.is_v4() && !c.is_v4());
        assert_eq!(a.network(), b.network());
        assert_ne!(a, b);
        assert_ne!(a.to_string(), "192.0.2.1");
    }
}
