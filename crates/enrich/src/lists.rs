//! All lists, all their versions, in one table: each segment of the address space points to the set of list entries
//! that hold it, so that a look-up costs the same for one list as for a hundred.
//!
//! An entry that stands unchanged in consecutive versions is one membership with a span of versions; time is settled
//! at look-up by finding which version of that list counts then.

use std::collections::{BTreeMap, HashMap};

use noroshi_model::{Addr, Nanos, Prefix};

use crate::kinds::Kinds;
use crate::manifest::TableInfo;
use crate::segments::{Key, NO_LENGTH, NO_VALUE, Segments};
use crate::table::{NO_NAME, Names, Table};

/// That a list held a range, in some of its versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Membership {
    list: u32,
    first_version: u32,
    last_version: u32,
    organisation: u32,
    length: u8,
}

/// A list and its versions in order of time.
#[derive(Debug, Clone)]
pub(crate) struct List {
    pub versions: Vec<TableInfo>,
}

impl List {
    /// Which version counts at a time: the newest not later, or else the oldest.
    fn version_at(&self, at: Nanos) -> usize {
        self.versions.partition_point(|version| version.as_of <= at).saturating_sub(1)
    }
}

/// All lists compiled together.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    pub lists: Vec<List>,
    v4: Segments<u32>,
    v6: Segments<u128>,
    sets: Vec<Box<[Membership]>>,
    names: Names,
}

/// One list that holds an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListEntry<'a> {
    /// The version of the list that counts.
    pub list: &'a TableInfo,
    /// Whose address it is, when the list says so.
    pub organisation: Option<&'a str>,
    /// The entry; none when it is a range that is no prefix.
    pub prefix: Option<Prefix>,
    /// The list is younger than the time asked for.
    pub later: bool,
}

/// The lists that hold an address at a time.
#[derive(Debug, Clone, Copy)]
pub struct ListEntries<'a> {
    lists: &'a Lists,
    set: &'a [Membership],
    addr: Addr,
    at: Nanos,
}

impl<'a> ListEntries<'a> {
    /// The entries, the most specific first.
    pub fn iter(self) -> impl Iterator<Item = ListEntry<'a>> {
        self.set.iter().filter_map(move |membership| {
            let list = &self.lists.lists[membership.list as usize];
            let version = list.version_at(self.at);
            let counts = (membership.first_version..=membership.last_version).contains(&(version as u32));
            counts.then(|| {
                let info = &list.versions[version];
                ListEntry {
                    list: info,
                    organisation: self.lists.names.get(membership.organisation),
                    prefix: (membership.length != NO_LENGTH).then(|| Prefix::new(self.addr, membership.length)),
                    later: info.as_of > self.at,
                }
            })
        })
    }

    pub(crate) fn kinds(self) -> Kinds {
        self.iter().fold(Kinds::NONE, |kinds, entry| kinds.with(entry.list.kinds.unwrap_or(Kinds::NONE)))
    }

    pub(crate) fn organisation(self) -> Option<&'a str> {
        self.iter().find_map(|entry| entry.organisation)
    }
}

impl Lists {
    pub fn find(&self, addr: Addr, at: Nanos) -> ListEntries<'_> {
        let found = match addr.as_v4() {
            Some(bits) => self.v4.find(bits),
            None => self.v6.find(addr.0),
        };
        let set = found.map_or(&[][..], |(set, _)| &self.sets[set as usize]);
        ListEntries { lists: self, set, addr, at }
    }

    pub fn bytes(&self) -> usize {
        let sets = self.sets.iter().map(|set| size_of_val(&**set)).sum::<usize>();
        self.v4.bytes() + self.v6.bytes() + sets + self.names.text.capacity()
    }

    /// Compiles lists, each with its versions in order of time.
    pub fn build(lists: Vec<Vec<(TableInfo, Table)>>) -> Self {
        let mut gather = Gather::default();
        let mut places = Vec::new();
        for (list, versions) in lists.iter().enumerate() {
            for (version, (_, table)) in versions.iter().enumerate() {
                let organisations = (0..table.names.ends.len() as u32)
                    .map(|number| gather.organisation(table.names.get(number).unwrap_or_default()))
                    .collect();
                places.push(Place { list: list as u32, version: version as u32, table, organisations });
            }
        }
        let v4 = gather.sweep(&places, |table| &table.v4);
        let v6 = gather.sweep(&places, |table| &table.v6);
        drop(places);
        let versions = |list: Vec<(TableInfo, Table)>| list.into_iter().map(|(info, _)| info).collect();
        Lists {
            v4,
            v6,
            sets: gather.sets,
            names: gather.names,
            lists: lists.into_iter().map(|list| List { versions: versions(list) }).collect(),
        }
    }
}

/// One version of one list.
struct Place<'a> {
    list: u32,
    version: u32,
    table: &'a Table,
    /// Number of the organisation among all lists, by its number in the table.
    organisations: Vec<u32>,
}

#[derive(Default)]
struct Gather {
    sets: Vec<Box<[Membership]>>,
    known_sets: HashMap<Box<[Membership]>, u32>,
    names: Names,
    known_names: HashMap<String, u32>,
}

impl Gather {
    fn organisation(&mut self, name: &str) -> u32 {
        let next = self.names.ends.len() as u32;
        if let Some(number) = self.known_names.get(name) {
            return *number;
        }
        self.names.text.push_str(name);
        self.names.ends.push(self.names.text.len() as u32);
        self.known_names.insert(name.to_owned(), next);
        next
    }

    /// Walks the boundaries of all tables together. Cost: boundaries times lists that hold the same place.
    fn sweep<K: Key>(&mut self, places: &[Place<'_>], family: impl Fn(&Table) -> &Segments<K>) -> Segments<K> {
        let mut boundaries: Vec<(K, u32, u32, u8)> = Vec::new();
        for (number, place) in places.iter().enumerate() {
            let of_place = family(place.table).iter();
            boundaries.extend(of_place.map(|(start, value, length)| (start, number as u32, value, length)));
        }
        boundaries.sort_unstable_by_key(|boundary| (boundary.0, boundary.1));
        let (mut starts, mut values) = (Vec::new(), Vec::new());
        let mut open: BTreeMap<u32, Membership> = BTreeMap::new();
        for together in boundaries.chunk_by(|a, b| a.0 == b.0) {
            for (_, number, value, length) in together {
                let place = &places[*number as usize];
                if *value == NO_VALUE {
                    open.remove(number);
                    continue;
                }
                let name = place.table.facts[*value as usize].name;
                let organisation = if name == NO_NAME { NO_NAME } else { place.organisations[name as usize] };
                let (list, version) = (place.list, place.version);
                let membership =
                    Membership { list, first_version: version, last_version: version, organisation, length: *length };
                open.insert(*number, membership);
            }
            starts.push(together[0].0);
            values.push(self.set(&open));
        }
        let lengths = vec![NO_LENGTH; starts.len()];
        // The starts come from sorted, distinct groups.
        Segments::from_parts(starts, values, lengths).unwrap_or_default()
    }

    fn set(&mut self, open: &BTreeMap<u32, Membership>) -> u32 {
        if open.is_empty() {
            return NO_VALUE;
        }
        let mut set: Vec<Membership> = Vec::with_capacity(open.len());
        // Places are numbered by list, then version, so versions to be joined follow one another.
        for membership in open.values() {
            match set.last_mut() {
                Some(last)
                    if (last.list, last.organisation, last.length)
                        == (membership.list, membership.organisation, membership.length)
                        && last.last_version + 1 == membership.first_version =>
                {
                    last.last_version = membership.last_version;
                }
                _ => set.push(*membership),
            }
        }
        let specific = |m: &Membership| if m.length == NO_LENGTH { 0 } else { m.length };
        set.sort_by_key(|m| (std::cmp::Reverse(specific(m)), m.list, m.first_version));
        let set = set.into_boxed_slice();
        if let Some(number) = self.known_sets.get(&set) {
            return *number;
        }
        let number = self.sets.len() as u32;
        self.sets.push(set.clone());
        self.known_sets.insert(set, number);
        number
    }
}
