//! The statistics, each with its definition.

use super::window::{Window, rows};
use super::{Asked, Statistic};
use crate::rollup::{Grouping, Span};

/// All of them, in the order they are listed.
pub const STATISTICS: &[Statistic] = &[
    Statistic {
        name: "top-ports",
        definition: "Destination ports (ICMP: types) by packets, with bytes and distinct sources.",
        sql: |p| ranking(p, Grouping::Port, "proto, port", "port is not null"),
    },
    Statistic {
        name: "top-networks",
        definition: "Source networks (/24 of IPv4, /48 of IPv6) by packets.",
        sql: |p| ranking(p, Grouping::Network, "network", "true"),
    },
    Statistic {
        name: "top-countries",
        definition: "Countries of the sources by packets; null is not known.",
        sql: |p| ranking(p, Grouping::Country, "country", "true"),
    },
    Statistic {
        name: "top-asns",
        definition: "Autonomous systems of the sources by packets; null is not known.",
        sql: |p| ranking(p, Grouping::As, "asn", "true"),
    },
    Statistic {
        name: "top-sources",
        definition: "Source addresses by packets, with distinct destinations and ports.",
        sql: |p| {
            let top = top_by(p, Grouping::Source, "source", "true", "packets desc");
            let rows = rows(p, Grouping::Source, "source, ports, destinations", p.asked(), Span::Day);
            format!(
                "with top as ({top}) select ip(address) source, packets, destinations, ports from (\
                 select k.source address, k.packets packets, distinct_of(r.destinations) destinations, \
                 distinct_of(r.ports) ports from {rows} r join top k on r.source = k.source \
                 group by k.source, k.packets) order by packets desc, address"
            )
        },
    },
    Statistic {
        name: "tools",
        definition: "Packets by the scanning tool that the fingerprints of each packet point to, with their share.",
        sql: |p| {
            format!(
                "select tool, sum(packets) packets, 1.0 * sum(packets) / sum(sum(packets)) over () share, \
                 distinct_of(sources) sources from {} group by tool order by packets desc, tool",
                rows(p, Grouping::Tool, "tool, packets, sources", p.asked(), Span::Day)
            )
        },
    },
    Statistic {
        name: "backscatter-victims",
        definition: "Addresses that answer traffic they never got from here (SYN-ACK or RST, TCP), likely victims of \
                     attacks with forged sources; first and last hour.",
        sql: |p| {
            let columns = "victim, victim_port, packets, destinations";
            format!(
                "select ip(victim) victim, victim_port, sum(packets) packets, distinct_of(destinations) destinations, \
                 min(t) first, max(t) last from {} group by victim, victim_port \
                 order by packets desc, victim, victim_port limit {}",
                rows(p, Grouping::Victim, columns, p.asked(), Span::Hour),
                p.limit
            )
        },
    },
    Statistic {
        name: "hourly-heatmap",
        definition: "Packets by weekday (0 is Sunday) and hour of the day, UTC.",
        sql: |p| {
            format!(
                "select date_part('dow', t) weekday, date_part('hour', t) hour, sum(packets) packets \
                 from {} where t is not null group by 1, 2 order by 1, 2",
                rows(p, Grouping::Tool, "packets", p.asked(), Span::Hour)
            )
        },
    },
    Statistic {
        name: "timeline",
        definition: "Packets, bytes and distinct sources per hour.",
        sql: |p| {
            format!(
                "select date_trunc('hour', t) hour, sum(packets) packets, sum(bytes) bytes, \
                 distinct_of(sources) sources from {} group by 1 order by 1",
                rows(p, Grouping::Tool, "packets, bytes, sources", p.asked(), Span::Hour)
            )
        },
    },
    Statistic {
        name: "sensors",
        definition: "Sensors side by side: packets, bytes, distinct sources and destinations, first and last minute.",
        sql: |p| {
            format!(
                "select k.*, m.first, m.last from (select sensor, sum(packets) packets, sum(bytes) bytes, \
                 distinct_of(sources) sources, distinct_of(destinations) destinations from {} group by sensor) k \
                 join (select sensor, min(minute) first, max(minute) last from minutes_tools where {} \
                 group by sensor) m on k.sensor = m.sensor order by packets desc, sensor",
                rows(p, Grouping::Tool, "sensor, packets, bytes, sources, destinations", p.asked(), Span::Day),
                p.scope("minute")
            )
        },
    },
    Statistic {
        name: "protocols",
        definition: "Packets, bytes and distinct sources by IP protocol number; null has no IP header.",
        sql: |p| {
            // There are few, so every set is merged anyway.
            format!(
                "select proto, sum(packets) packets, sum(bytes) bytes, distinct_of(sources) sources from {} \
                 group by proto order by packets desc, proto limit {}",
                rows(p, Grouping::Port, "proto, packets, bytes, sources", p.asked(), Span::Day),
                p.limit
            )
        },
    },
    Statistic {
        name: "rare-ports",
        definition: "Ports with the fewest packets, at least one: what nobody else looks at.",
        sql: |p| ranking_by(p, Grouping::Port, "proto, port", "port is not null", "packets"),
    },
    Statistic {
        name: "new-ports",
        definition: "Ports that received packets in the window (default: the last day of data) and never before it; first \
                     hour.",
        sql: |p| newcomers(p, Grouping::Port, "proto, port", "port is not null"),
    },
    Statistic {
        name: "rising-ports",
        definition: "Ports by growth against the same window one week before (default window: the last day of data); \
                     at least 10 packets; ratio is null when there were none.",
        sql: |p| against_last_week(p, "desc"),
    },
    Statistic {
        name: "falling-ports",
        definition: "Ports by decline against the same window one week before (default window: the last day of data); \
                     at least 10 packets then.",
        sql: |p| against_last_week(p, "asc"),
    },
    Statistic {
        name: "first-seen-networks",
        definition: "Source networks that sent in the window (default: the last day, UTC, of the data) and never before \
                     it.",
        sql: |p| newcomers(p, Grouping::Network, "network", "true"),
    },
    Statistic {
        name: "returning-networks",
        definition: "Source networks that sent in the window (default: the last day, UTC, of the data) after at least \
                     seven whole days of silence; last day before, first day again.",
        sql: returning,
    },
    Statistic {
        name: "concentration",
        definition: "How unevenly packets come from source networks: Gini coefficient (0 equal, 1 all from one), \
                     Shannon entropy in bits, and the share of the ten largest.",
        sql: concentration,
    },
    Statistic {
        name: "ip-versions",
        definition: "Packets, bytes and source networks of IPv4 and IPv6, and their distinct sources as far as roll-ups \
                     have them by version (`noroshi stats rebuild` counts those again).",
        sql: ip_versions,
    },
    Statistic {
        name: "packet-sizes",
        definition: "Packets by length on the wire in bytes, in classes that double.",
        sql: |p| {
            format!(
                "select value bytes_from, sum(packets) packets, sum(bytes) bytes, distinct_of(sources) sources \
                 from {} where kind = 'size' group by 1 order by 1",
                rows(p, Grouping::Profile, "kind, value, packets, bytes, sources", p.asked(), Span::Day)
            )
        },
    },
    Statistic {
        name: "ttl-profile",
        definition: "Packets by the time to live they likely started with (the next of 32, 64, 128, 255) and the mean \
                     number of hops since.",
        sql: |p| {
            format!(
                "select start_ttl, sum(packets) packets, 1.0 * sum(packets * (start_ttl - value)) / sum(packets) \
                 mean_hops from (select packets, value, \
                 case when value <= 32 then 32 when value <= 64 then 64 when value <= 128 then 128 else 255 end \
                 start_ttl from {} where kind = 'ttl') group by 1 order by 1",
                rows(p, Grouping::Profile, "kind, value, packets", p.asked(), Span::Day)
            )
        },
    },
    Statistic {
        name: "tcp-flags",
        definition: "TCP packets by their flag bits (FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32, ECE 64, CWR 128).",
        sql: |p| {
            format!(
                "select value tcp_flags, sum(packets) packets, distinct_of(sources) sources from {} \
                 where kind = 'flags' group by 1 order by packets desc, tcp_flags limit {}",
                rows(p, Grouping::Profile, "kind, value, packets, sources", p.asked(), Span::Day),
                p.limit
            )
        },
    },
    Statistic {
        name: "payloads",
        definition: "Payloads by their first 16 bytes (hexadecimal), with distinct sources and the commonest length.",
        sql: |p| {
            format!(
                "select proto, hex(payload, 16) head, count(*) packets, count(distinct src) sources, \
                 count(distinct dport) ports, min(payload_len) shortest, max(payload_len) longest from packets \
                 where payload is not null and {} group by 1, 2 order by packets desc, 1, 2 limit {}",
                p.scope("ts"),
                p.limit
            )
        },
    },
    Statistic {
        name: "losses",
        definition: "Records declared lost, by sensor and reason.",
        sql: |p| {
            format!(
                "select sensor, reason, sum(count) records, count(*) gaps from gaps where {} \
                 group by 1, 2 order by records desc, 1, 2",
                p.sensor_only()
            )
        },
    },
];

fn ranking(p: &Asked, grouping: Grouping, key: &str, condition: &str) -> String {
    ranking_by(p, grouping, key, condition, "packets desc")
}

/// Networks are counted over all of them; sources have a set for each version.
fn ip_versions(p: &Asked) -> String {
    let networks = rows(p, Grouping::Network, "network, packets, bytes", p.asked(), Span::Day);
    let sources = rows(p, Grouping::Profile, "kind, value, packets, sources", p.asked(), Span::Day);
    let of = |four: &str, six: &str| format!("case ip_version when 4 then {four} else {six} end");
    format!(
        "select v.ip_version, v.packets, v.bytes, v.networks, case when t.packets = v.packets then t.sources end sources \
         from (select ip_version, cast({} as bigint) packets, {} bytes, {} networks from (\
         select concentration(key, packets) filter (where key < {V6}) c4, sum(bytes) filter (where key < {V6}) b4, \
         concentration(key, packets) filter (where key >= {V6}) c6, sum(bytes) filter (where key >= {V6}) b6 \
         from (select network_key(network) key, packets, bytes from {networks})) \
         cross join (values (4), (6)) versions(ip_version)) v \
         left join (select value ip_version, sum(packets) packets, distinct_of(sources) sources from {sources} \
         where kind = 'version' group by value) t on t.ip_version = v.ip_version \
         where v.packets > 0 order by v.ip_version",
        of("c4['packets']", "c6['packets']"),
        of("b4", "b6"),
        of("c4['networks']", "c6['networks']")
    )
}

/// Least `network_key` of an IPv6 network.
const V6: i64 = crate::query::V6_NETWORKS;

/// The first keys in an order, then their distinct sources: sketches of the keys that nobody asked for are not merged.
fn ranking_by(p: &Asked, grouping: Grouping, key: &str, condition: &str, order: &str) -> String {
    let keys: Vec<&str> = key.split(", ").collect();
    let list = |of: &dyn Fn(&str) -> String, by: &str| keys.iter().map(|key| of(key)).collect::<Vec<_>>().join(by);
    let (top, of_top) = (top_by(p, grouping, key, condition, order), list(&|key| format!("k.{key}"), ", "));
    let rows = rows(p, grouping, &format!("{key}, sources"), p.asked(), Span::Day);
    // Equality is asked of the files before anything is read of them, and finds no null, so it is taken where there is none.
    let same = match grouping {
        Grouping::Port | Grouping::Network | Grouping::Source => list(&|key| format!("r.{key} = k.{key}"), " and "),
        _ => list(&|key| format!("(r.{key} is not distinct from k.{key})"), " and "),
    };
    format!(
        "with top as ({top}) select {of_top}, k.packets, k.bytes, distinct_of(r.sources) sources from {rows} r \
         join top k on {same} group by {of_top}, k.packets, k.bytes order by {order}, {key}"
    )
}

/// The first keys in an order, with packets and bytes.
fn top_by(p: &Asked, grouping: Grouping, key: &str, condition: &str, order: &str) -> String {
    format!(
        "select {key}, sum(packets) packets, sum(bytes) bytes from {} where {condition}{} group by {key} \
         order by {order}, {key} limit {}",
        rows(p, grouping, &format!("{key}, packets, bytes"), p.asked(), Span::Day),
        heavy(p, key),
        p.limit
    )
}

/// A further condition: only keys that may be among the first, if they are known.
fn heavy(p: &Asked, key: &str) -> String {
    match p.keys.as_deref() {
        Some([]) | None => String::new(),
        Some(keys) => format!(" and {key} in ({})", keys.join(", ")),
    }
}

/// The window of a question about newcomers, and what came before it. A window that ends with the data has no end, so that
/// its last day need not be counted from the packets.
pub(super) fn windows_of_newcomers(p: &Asked, grouping: Grouping) -> [Window; 2] {
    let (since, _) = if grouping == Grouping::Network { p.days() } else { p.window() };
    [(Some(since), p.asked().1), (None, Some(since))]
}

/// What came before the window is only asked whether there was any, so days will do; so they do for the packets of the
/// newcomers. When the first of them came is asked of those that are shown.
fn newcomers(p: &Asked, grouping: Grouping, key: &str, condition: &str) -> String {
    let [window, past] = windows_of_newcomers(p, grouping);
    let now = rows(p, grouping, &format!("{key}, packets"), window, Span::Day);
    let before = rows(p, grouping, key, past, Span::Day);
    let sets = rows(p, grouping, &format!("{key}, sources"), window, Span::Day);
    let keys: Vec<&str> = key.split(", ").collect();
    let list = |of: &dyn Fn(&str) -> String, by: &str| keys.iter().map(|key| of(key)).collect::<Vec<_>>().join(by);
    let (of_now, of_new) = (list(&|key| format!("n.{key}"), ", "), list(&|key| format!("k.{key}"), ", "));
    let not_before = list(&|key| format!("n.{key} = b.{key}"), " and ");
    let same = list(&|key| format!("r.{key} = k.{key}"), " and ");
    // Networks have no hours: their days come with the sets.
    let (times, first, group) = match grouping {
        Grouping::Network => ("select * from new".to_owned(), "min(r.t)", ""),
        _ => {
            let hours = rows(p, grouping, key, window, Span::Hour);
            let times = format!("select {of_new}, k.packets, min(r.t) first from {hours} r join new k on {same}");
            (format!("{times} group by {of_new}, k.packets"), "k.first", ", k.first")
        }
    };
    format!(
        "with new as (select {of_now}, sum(n.packets) packets from (select * from {now} where {condition}{}) n \
         left anti join {before} b on {not_before} group by {of_now} order by packets desc, {of_now} limit {}), \
         k as ({times}) select {of_new}, {first} first, k.packets, distinct_of(r.sources) sources from {sets} r \
         join k on {same} group by {of_new}, k.packets{group} order by packets desc, {of_new}",
        heavy(p, key),
        p.limit
    )
}

fn against_last_week(p: &Asked, order: &str) -> String {
    const WEEK: i64 = 7 * Span::Day.nanos();
    let (since, until) = p.window();
    let (condition_now, condition_before, nulls) = match order {
        "desc" => ("packets >= 10", "true", "first"),
        _ => ("true", "week_before >= 10", "last"),
    };
    let of = |window: Window| rows(p, Grouping::Port, "proto, port, packets", window, Span::Day);
    let now = of((Some(since), Some(until)));
    let before = of((Some(since.saturating_sub(WEEK)), Some(until.saturating_sub(WEEK))));
    format!(
        "select proto, port, packets, week_before, 1.0 * packets / nullif(week_before, 0) ratio from (\
         select proto, port, sum(packets) packets, sum(week_before) week_before from (\
         select proto, port, packets, 0 week_before from {now} union all \
         select proto, port, 0 packets, packets week_before from {before}) \
         where port is not null group by proto, port) where {condition_now} and {condition_before} \
         order by ratio {order} nulls {nulls}, packets {order}, proto, port limit {}",
        p.limit
    )
}

fn returning(p: &Asked) -> String {
    let (since, until) = p.days();
    let now = rows(p, Grouping::Network, "network, packets", (Some(since), Some(until)), Span::Day);
    let before = rows(p, Grouping::Network, "network", (None, Some(since)), Span::Day);
    format!(
        "select n.network, b.last_before, n.back, n.packets from \
         (select network, min(t) back, sum(packets) packets from {now} group by network) n join \
         (select network, max(t) last_before from {before} group by network) b on n.network = b.network \
         where b.last_before < n.back - interval '7 days' order by packets desc, n.network limit {}",
        p.limit
    )
}

/// The measures are those of the aggregate of that name.
fn concentration(p: &Asked) -> String {
    format!(
        "select c['networks'] networks, c['packets'] packets, c['gini'] gini, c['entropy_bits'] entropy_bits, \
         c['share_of_ten'] share_of_ten from (select concentration(network_key(network), packets) c from {})",
        rows(p, Grouping::Network, "network, packets", p.asked(), Span::Day)
    )
}
