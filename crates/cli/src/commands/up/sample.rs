//! The sample: a generated day, an hour that goes round for ever, two organisations, and countries that are made up.

use super::visitors::{Family, Visitors};
use crate::failure::Failure;
use noroshi_correlate::profile::Exact;
use noroshi_correlate::{Builder, Origin, Profile};
use noroshi_model::finding::{AttackKind, Tool, Victim};
use noroshi_model::{Addr, Prefix};
use noroshi_packet::capture::Reader;
use noroshi_packet::decode::decode;
use noroshi_simulate::{Scenario, Truth, World, write_day};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Packets of the sample day: enough for every screen to have something to show, sent in seconds.
const DAY_PACKETS: u64 = 200_000;
const DAY_SCENARIO: &str = "darknet-day";
/// What goes round for ever afterwards, at its own pace: about a hundred packets a second.
const LIVING_PACKETS: u64 = 200_000;
const LIVING_SCENARIO: &str = "living-hour";
/// Seed of what is observed, and of another world from which samples are made up.
const SEED: u64 = 1;
const SAMPLES_SEED: u64 = 2;

/// Folder of that other world.
const OTHER_WORLD: &str = "samples";

/// Name of the table of countries: whoever reads it is told that nothing in it was looked up.
const COUNTRIES_NAME: &str = "sample-countries-made-up";
/// Countries given to the sample's sources by their addresses, so that a map has something to show.
const COUNTRIES: [&str; 24] = [
    "AR", "AU", "BD", "BR", "CA", "CN", "DE", "EG", "ES", "FR", "GB", "ID", "IN", "IT", "JP", "KE", "KR", "MX", "NL",
    "PL", "TR", "TW", "US", "VN",
];
/// A country's share of the address space: neighbours within 4,096 addresses share one.
const COUNTRY_BITS: u32 = 12;

/// Where the sample lies.
pub struct Sample {
    /// Folder of everything below.
    pub folder: PathBuf,
    /// Capture of the day.
    pub day: PathBuf,
    /// Capture of the hour that goes round.
    pub living: PathBuf,
}

impl Sample {
    /// Generates what is not there yet.
    pub fn make(folder: &Path) -> Result<Sample, Failure> {
        Ok(Sample {
            folder: folder.to_owned(),
            day: world(folder, DAY_SCENARIO, DAY_PACKETS, SEED)?,
            living: world(&folder.join("living"), LIVING_SCENARIO, LIVING_PACKETS, SEED)?,
        })
    }

    /// Lays down profiles of made-up samples, so that campaigns have something to be compared with: the groups of another
    /// world, under names that say so.
    pub fn profiles(&self, folder: &Path) -> Result<(), Failure> {
        let path = folder.join(noroshi_hub::portal::SAMPLE_PROFILES);
        if path.exists() {
            return Ok(());
        }
        let capture = world(&self.folder.join(OTHER_WORLD), DAY_SCENARIO, DAY_PACKETS, SAMPLES_SEED)?;
        let truth = self.truth(OTHER_WORLD)?;
        let space = truth.monitored.iter().map(|prefix| prefix.size() as u64).sum();
        let mut families: Vec<(Builder, BTreeSet<Addr>)> =
            truth.groups.iter().map(|group| (Builder::new(space), group.members.iter().copied().collect())).collect();
        let mut reader = Reader::open(&capture).map_err(Failure::failed)?;
        while let Some(raw) = reader.next_batch() {
            let batch = decode(raw, 0);
            for row in &batch.rows {
                let of = families.iter_mut().filter(|(_, members)| members.contains(&row.src));
                of.for_each(|(builder, _)| builder.add(row, batch.payload(row)));
            }
        }
        let mut lines = String::new();
        for ((builder, _), family) in families.iter().zip(Family::of(&truth)) {
            let profile = builder.finish(&family.hash, Origin::Darknet);
            let exact = Exact { hashes: vec![family.hash], urls: vec![family.url], ..Exact::default() };
            let _ = writeln!(lines, "{}", Profile { label: Some(family.name), exact, ..profile }.to_json());
        }
        std::fs::create_dir_all(folder)?;
        Ok(std::fs::write(&path, lines)?)
    }

    /// Who visits the sample's honeypot.
    pub fn visitors(&self) -> Result<Visitors, Failure> {
        Visitors::new(&self.truth("")?, &self.truth(OTHER_WORLD)?, noroshi_hub::portal::SAMPLE_SENSOR)
    }

    /// What is true in the world of that folder.
    fn truth(&self, world: &str) -> Result<Truth, Failure> {
        Ok(serde_json::from_slice(&std::fs::read(self.folder.join(world).join("truth.json"))?)?)
    }

    /// Gives the sample's sources made-up countries, where no table of countries is there yet.
    pub fn countries(&self, knowledge: &Path) -> Result<(), Failure> {
        use noroshi_enrich::{ImportOptions, Knowledge};
        let known = knowledge.is_dir() && Knowledge::open(knowledge).is_ok_and(|known| known.has_country());
        if known {
            return Ok(());
        }
        std::fs::create_dir_all(knowledge)?;
        let file = knowledge.join("sample-countries.csv.new");
        std::fs::write(&file, self.made_up()?)?;
        let options = ImportOptions { name: Some(COUNTRIES_NAME.into()), ..ImportOptions::default() };
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let imported =
            noroshi_enrich::import(knowledge, &file, &options, noroshi_model::Nanos(since.as_nanos() as i64));
        std::fs::remove_file(&file)?;
        imported.map(drop).map_err(|error| Failure::failed(error).at(knowledge.display()))
    }

    /// Rows `first,last,country` for the sample's own sources and nothing else.
    fn made_up(&self) -> Result<String, Failure> {
        let mut sources = BTreeSet::new();
        for folder in [self.folder.clone(), self.folder.join("living")] {
            let listed = std::fs::read_to_string(folder.join("sources.csv"))?;
            let addresses = listed.lines().filter_map(|line| line.split(',').next()?.parse::<Addr>().ok());
            sources.extend(addresses.filter(|addr| addr.is_v4()));
        }
        let mut table = "first,last,country\n".to_owned();
        for source in sources {
            let country = COUNTRIES[(source.0 >> COUNTRY_BITS) as usize % COUNTRIES.len()];
            let _ = writeln!(table, "{source},{source},{country}");
        }
        Ok(table)
    }

    /// Two organisations of the sample day: one with an infected host, one whose server is flooded.
    pub fn members(&self) -> Result<PathBuf, Failure> {
        let path = self.folder.join("members.toml");
        if path.exists() {
            return Ok(path);
        }
        let truth = self.truth("")?;
        let mirai = truth.groups.iter().find(|group| group.tool == Tool::Mirai);
        let host = mirai.and_then(|group| group.members.iter().find(|addr| addr.is_v4()));
        let flooded = |attack: &&noroshi_simulate::truth::Attack| attack.kind == AttackKind::Backscatter;
        let victim = truth.attacks.iter().filter(flooded).max_by_key(|attack| attack.sent.packets);
        let mut text =
            "# Made for the sample day. Warnings about these networks are laid down as files in mailbox.\n".to_owned();
        let mut member = |id: &str, name: &str, language: &str, addr: Addr| {
            let network = Prefix::new(addr, if addr.is_v4() { 24 } else { 48 });
            text.push_str(&format!(
            "\n[[member]]\nid = \"{id}\"\nname = \"{name}\"\nlanguage = \"{language}\"\nprefixes = [\"{network}\"]\n\
             contacts = [{{ name = \"NOC\", mail = \"noc@{id}.example\" }}]\n"
        ));
        };
        if let Some(host) = host {
            member("sample-university", "Sample University", "en", *host);
        }
        if let Some(Victim::Address(addr)) = victim.map(|attack| attack.victim)
            && host.is_none_or(|host| !Prefix::new(*host, 24).contains(addr))
        {
            member("sample-shop", "Sample Shop", "ja", addr);
        }
        std::fs::write(&path, text)?;
        Ok(path)
    }
}

/// A sample world's capture, generated once.
fn world(folder: &Path, scenario: &str, packets: u64, seed: u64) -> Result<PathBuf, Failure> {
    let (capture, whole) = (folder.join("day.pcap"), folder.join("complete"));
    if whole.exists() {
        return Ok(capture);
    }
    writeln!(std::io::stderr(), "generating sample traffic ({scenario}, {packets} packets) …")?;
    let world = World::new(&Scenario::load(scenario)?, seed, packets);
    let written = write_day(&world, folder, &mut |_| {})?;
    std::fs::write(&whole, b"")?;
    Ok(written.capture)
}
