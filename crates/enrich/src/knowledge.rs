//! What was known of an address at a given time.
//!
//! For each table the version counts whose date is the newest not later than the time asked for. When all versions are
//! younger, the oldest counts and the answer says so (`later`), for a guess with a flag is worth more than silence.
//! Countries come from the most precise kind of source that answers (MMDB, then CSV, then registry), networks from
//! what routers announced (MRT, then CSV, then MMDB); among equals the one with the newest version is asked first.

use std::fs;
use std::path::Path;

use noroshi_model::{Addr, Nanos, Prefix};

use crate::codec;
use crate::country::Country;
use crate::error::EnrichError;
use crate::kinds::Kinds;
use crate::lists::{ListEntries, Lists};
use crate::load::{Format, Parsed};
use crate::manifest::{DatedBy, Manifest, TableInfo};
use crate::segments::NO_LENGTH;
use crate::special;
use crate::table::{Fact, Table};

/// What opening may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenOptions {
    /// Bytes of tables held in memory. Older versions are left out first and named by [`Knowledge::left_out`].
    pub bytes_max: u64,
    /// Only the versions that count somewhere between these times; all for none.
    pub between: Option<(Nanos, Nanos)>,
}

impl Default for OpenOptions {
    /// 1 GiB, which holds some twenty full routing tables.
    fn default() -> Self {
        OpenOptions { bytes_max: 1 << 30, between: None }
    }
}

/// Imported tables, ready for look-ups. Immutable: share it as `Arc<Knowledge>` and replace the whole.
#[derive(Debug)]
pub struct Knowledge {
    country: Vec<Series>,
    network: Vec<Series>,
    tables: Vec<Loaded>,
    lists: Lists,
    left_out: Vec<TableInfo>,
}

#[derive(Debug)]
struct Loaded {
    info: TableInfo,
    table: Table,
    /// AS number and name number, ascending.
    as_names: Vec<(u32, u32)>,
}

/// Versions of one table in order of time.
#[derive(Debug)]
struct Series(Vec<(Nanos, usize)>);

impl Series {
    #[inline]
    fn at(&self, at: Nanos) -> usize {
        match self.0.as_slice() {
            [only] => only.1,
            versions => versions[versions.partition_point(|(as_of, _)| *as_of <= at).saturating_sub(1)].1,
        }
    }
}

/// What was known of an address.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// Country of the address.
    pub country: Option<Country>,
    /// Autonomous system that announces it.
    pub asn: Option<u32>,
    /// Name of that system.
    pub as_name: Option<&'a str>,
    /// The announced prefix; none when no table of networks holds it or its source gives ranges only.
    pub prefix: Option<Prefix>,
    /// Organisation that a list names, the most specific entry first.
    pub organisation: Option<&'a str>,
    /// What the lists say it is.
    pub kinds: Kinds,
    /// At least one answer comes from a table younger than the time asked for.
    pub later: bool,
    /// The table that gave the country.
    pub country_source: Option<&'a TableInfo>,
    /// The table that gave the network.
    pub network_source: Option<&'a TableInfo>,
    /// The lists that hold the address.
    pub lists: ListEntries<'a>,
}

impl<'a> Known<'a> {
    /// Every table that said something: country, network, then lists.
    pub fn sources(&self) -> impl Iterator<Item = &'a TableInfo> {
        let network = self.network_source.filter(|n| self.country_source.is_none_or(|c| !std::ptr::eq(*n, c)));
        self.country_source.into_iter().chain(network).chain(self.lists.iter().map(|entry| entry.list))
    }

    /// A scanner that its operator or a list maintainer vouches for.
    pub fn is_research_scanner(&self) -> bool {
        self.kinds.has(Kinds::RESEARCH_SCANNER)
    }
}

impl Default for Knowledge {
    fn default() -> Self {
        Knowledge::empty()
    }
}

impl Knowledge {
    /// Nothing but what the protocol itself settles: special-purpose space is a bogon.
    pub fn empty() -> Self {
        Self::assemble(Vec::new(), Vec::new())
    }

    /// Opens a knowledge directory; an absent one is empty.
    pub fn open(dir: &Path) -> Result<Self, EnrichError> {
        Self::open_with(dir, &OpenOptions::default())
    }

    /// As [`Knowledge::open`], with limits.
    pub fn open_with(dir: &Path, options: &OpenOptions) -> Result<Self, EnrichError> {
        // An import that replaces a version removes its file; the manifest read after that names another.
        let mut tries = 3;
        loop {
            let manifest = Manifest::read(dir)?;
            tries -= 1;
            match load(dir, manifest.tables, options) {
                Err(EnrichError::Io { cause, .. }) if tries > 0 && cause.kind() == std::io::ErrorKind::NotFound => {}
                result => return result.map(|(tables, left_out)| Self::assemble(tables, left_out)),
            }
        }
    }

    /// From tables that were read but not imported, dated by their publisher or else `at`.
    pub fn from_parsed(tables: Vec<(String, Parsed)>, at: Nanos) -> Self {
        let tables = tables.into_iter().map(|(name, parsed)| {
            let info = TableInfo {
                name,
                as_of: parsed.as_of.unwrap_or(at),
                dated_by: if parsed.as_of.is_some() { DatedBy::Publisher } else { DatedBy::FileTime },
                imported_at: at,
                country: parsed.has_country(),
                network: parsed.has_network(),
                title: parsed.title,
                format: parsed.format,
                kinds: parsed.kinds,
                entries: parsed.entries,
                skipped: parsed.skipped,
                source_file: String::new(),
                file: String::new(),
            };
            (info, parsed.table)
        });
        Self::assemble(tables.collect(), Vec::new())
    }

    fn assemble(mut tables: Vec<(TableInfo, Table)>, left_out: Vec<TableInfo>) -> Self {
        tables.sort_by(|a, b| (&a.0.name, a.0.as_of).cmp(&(&b.0.name, b.0.as_of)));
        let (lists, facts): (Vec<_>, Vec<_>) = tables.into_iter().partition(|(info, _)| info.kinds.is_some());
        let mut grouped: Vec<Vec<(TableInfo, Table)>> = vec![vec![(special::info(), special::table())]];
        for list in lists {
            let built_in_only = grouped.len() == 1;
            match grouped.last_mut() {
                Some(last) if !built_in_only && last[0].0.name == list.0.name => last.push(list),
                _ => grouped.push(vec![list]),
            }
        }
        let loaded = |(info, table): (TableInfo, Table)| Loaded { as_names: table.as_names(), info, table };
        let tables: Vec<Loaded> = facts.into_iter().map(loaded).collect();
        Knowledge {
            country: series(&tables, |info| info.country, country_rank),
            network: series(&tables, |info| info.network, network_rank),
            lists: Lists::build(grouped),
            tables,
            left_out,
        }
    }

    /// Everything known of an address at a time.
    pub fn lookup(&self, addr: Addr, at: Nanos) -> Known<'_> {
        let lists = self.lists.find(addr, at);
        let country = self.answer(&self.country, addr, at, |fact| fact.country().is_some());
        let network = self.answer(&self.network, addr, at, |fact| fact.asn().is_some());
        let asn = network.and_then(|(_, fact, _)| fact.asn());
        let younger = |info: &TableInfo| info.as_of > at;
        let answered_later = [country, network].into_iter().flatten().any(|(loaded, ..)| younger(&loaded.info));
        Known {
            country: country.and_then(|(_, fact, _)| fact.country()),
            asn,
            as_name: network.and_then(|(loaded, fact, _)| self.as_name_in(loaded, fact, at)),
            prefix: network.filter(|(.., length)| *length != NO_LENGTH).map(|(.., length)| Prefix::new(addr, length)),
            organisation: lists.organisation(),
            kinds: lists.kinds(),
            later: answered_later || lists.iter().any(|entry| entry.later),
            country_source: country.map(|(loaded, ..)| &loaded.info),
            network_source: network.map(|(loaded, ..)| &loaded.info),
            lists,
        }
    }

    /// Country and AS number alone: some tens of nanoseconds each, no allocation.
    #[inline]
    pub fn country_and_asn(&self, addr: Addr, at: Nanos) -> (Option<Country>, Option<u32>) {
        let country = self.answer(&self.country, addr, at, |fact| fact.country().is_some());
        let network = self.answer(&self.network, addr, at, |fact| fact.asn().is_some());
        (country.and_then(|(_, fact, _)| fact.country()), network.and_then(|(_, fact, _)| fact.asn()))
    }

    /// Country alone.
    #[inline]
    pub fn country(&self, addr: Addr, at: Nanos) -> Option<Country> {
        self.answer(&self.country, addr, at, |fact| fact.country().is_some()).and_then(|(_, fact, _)| fact.country())
    }

    /// What the lists say of an address, and the organisation they name.
    pub fn kinds(&self, addr: Addr, at: Nanos) -> (Kinds, Option<&str>) {
        let lists = self.lists.find(addr, at);
        (lists.kinds(), lists.organisation())
    }

    /// The name of an autonomous system.
    pub fn as_name(&self, asn: u32, at: Nanos) -> Option<&str> {
        self.network.iter().find_map(|series| {
            let loaded = &self.tables[series.at(at)];
            let found = loaded.as_names.binary_search_by_key(&asn, |(asn, _)| *asn).ok()?;
            loaded.table.names.get(loaded.as_names[found].1)
        })
    }

    fn as_name_in<'a>(&'a self, loaded: &'a Loaded, fact: Fact, at: Nanos) -> Option<&'a str> {
        loaded.table.names.get(fact.name).or_else(|| self.as_name(fact.asn, at))
    }

    #[inline]
    fn answer(
        &self,
        series: &[Series],
        addr: Addr,
        at: Nanos,
        says: impl Fn(Fact) -> bool,
    ) -> Option<(&Loaded, Fact, u8)> {
        series.iter().find_map(|series| {
            let loaded = &self.tables[series.at(at)];
            let (fact, length) = loaded.table.find_fact(addr)?;
            says(fact).then_some((loaded, fact, length))
        })
    }

    /// Whether any table gives countries.
    pub fn has_country(&self) -> bool {
        !self.country.is_empty()
    }

    /// Whether any table gives networks.
    pub fn has_network(&self) -> bool {
        !self.network.is_empty()
    }

    /// Whether any list was imported.
    pub fn has_lists(&self) -> bool {
        self.lists.lists.len() > 1
    }

    /// Every table at hand, the built-in one included, by name and date.
    pub fn tables(&self) -> impl Iterator<Item = &TableInfo> {
        self.tables.iter().map(|loaded| &loaded.info).chain(self.lists.lists.iter().flat_map(|list| &list.versions))
    }

    /// Tables that did not fit into [`OpenOptions::bytes_max`].
    pub fn left_out(&self) -> &[TableInfo] {
        &self.left_out
    }

    /// Bytes of memory held.
    pub fn bytes(&self) -> usize {
        let names = |loaded: &Loaded| loaded.as_names.capacity() * 8;
        self.tables.iter().map(|loaded| loaded.table.bytes() + names(loaded)).sum::<usize>() + self.lists.bytes()
    }
}

/// What to tell a person who has no table of countries.
pub const HOW_TO_GET_COUNTRIES: &str = "no country table: import one with `noroshi geo import FILE`. Any MMDB will do \
    (GeoLite2-Country from maxmind.com, DB-IP Country Lite from db-ip.com, IPinfo Lite from ipinfo.io, all free of \
    charge), or a delegated-extended file of a registry, such as \
    https://ftp.ripe.net/pub/stats/ripencc/nro-stats/latest/nro-delegated-stats";

fn country_rank(format: Format) -> u8 {
    match format {
        Format::Mmdb => 0,
        Format::Csv => 1,
        _ => 2,
    }
}

fn network_rank(format: Format) -> u8 {
    match format {
        Format::Mrt => 0,
        Format::Csv => 1,
        _ => 2,
    }
}

/// Groups tables, which are sorted by name and date, and puts the groups in the order in which they are asked.
fn series(tables: &[Loaded], holds: impl Fn(&TableInfo) -> bool, rank: impl Fn(Format) -> u8) -> Vec<Series> {
    let numbered: Vec<(usize, &TableInfo)> =
        tables.iter().enumerate().map(|(i, loaded)| (i, &loaded.info)).filter(|(_, info)| holds(info)).collect();
    let mut groups: Vec<&[(usize, &TableInfo)]> = numbered.chunk_by(|a, b| a.1.name == b.1.name).collect();
    groups.sort_by_key(|group| {
        let newest = group[group.len() - 1].1;
        (rank(newest.format), std::cmp::Reverse(newest.as_of))
    });
    groups.iter().map(|group| Series(group.iter().map(|(i, info)| (info.as_of, *i)).collect())).collect()
}

type LoadedTables = (Vec<(TableInfo, Table)>, Vec<TableInfo>);

/// Reads the tables, the newest of each name first, as far as memory allows.
fn load(dir: &Path, mut infos: Vec<TableInfo>, options: &OpenOptions) -> Result<LoadedTables, EnrichError> {
    infos.sort_by(|a, b| (&a.name, a.as_of).cmp(&(&b.name, b.as_of)));
    let mut wanted: Vec<(usize, &TableInfo)> = Vec::new();
    for versions in infos.chunk_by(|a, b| a.name == b.name) {
        let at = |time| versions.partition_point(|version| version.as_of <= time).saturating_sub(1);
        let range = options.between.map_or(0..=versions.len() - 1, |(from, to)| at(from)..=at(to.max(from)));
        wanted.extend(versions[range].iter().rev().enumerate());
    }
    wanted.sort_by_key(|(age, _)| *age);
    let (mut tables, mut left_out, mut left) = (Vec::new(), Vec::new(), options.bytes_max);
    for (_, info) in wanted {
        let path = dir.join(&info.file);
        let size = fs::metadata(&path).map_err(EnrichError::io("read", &path))?.len();
        let Some(after) = left.checked_sub(size) else {
            left_out.push(info.clone());
            continue;
        };
        left = after;
        let bytes = fs::read(&path).map_err(EnrichError::io("read", &path))?;
        let damaged = |reason: &str| EnrichError::Damaged { path: path.clone(), reason: reason.to_owned() };
        tables.push((info.clone(), codec::decode(&bytes).map_err(damaged)?));
    }
    Ok((tables, left_out))
}

const _: () = {
    const fn shared_between_threads<T: Send + Sync>() {}
    shared_between_threads::<Knowledge>();
};
