//! The statistics, each with its definition.

use super::window::{Window, rows};
use super::{Parameters, Statistic};
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
            let top = top(p, Grouping::Source, "source", "true", Span::Day);
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
        sql: |p| ranking(p, Grouping::Port, "proto", "true"),
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
        sql: |p| newcomers(p, Grouping::Port, "proto, port", "n.port is not null"),
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
        definition: "Packets, bytes and source networks of IPv4 and IPv6.",
        sql: |p| {
            format!(
                "select case when network like '%:%' then 6 else 4 end ip_version, sum(packets) packets, \
                 sum(bytes) bytes, count(distinct network) networks, distinct_of(sources) sources \
                 from {} group by 1 order by 1",
                rows(p, Grouping::Network, "network, packets, bytes, sources", p.asked(), Span::Day)
            )
        },
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

fn ranking(p: &Parameters, grouping: Grouping, key: &str, condition: &str) -> String {
    ranking_by(p, grouping, key, condition, "packets desc")
}

/// The first keys in an order, then their distinct sources: sketches of the keys that nobody asked for are not merged.
fn ranking_by(p: &Parameters, grouping: Grouping, key: &str, condition: &str, order: &str) -> String {
    let keys: Vec<&str> = key.split(", ").collect();
    let list = |of: &dyn Fn(&str) -> String, by: &str| keys.iter().map(|key| of(key)).collect::<Vec<_>>().join(by);
    let (top, of_top) = (top_by(p, grouping, key, condition, Span::Day, order), list(&|key| format!("k.{key}"), ", "));
    let rows = rows(p, grouping, &format!("{key}, sources"), p.asked(), Span::Day);
    let same = list(&|key| format!("(r.{key} is not distinct from k.{key})"), " and ");
    format!(
        "with top as ({top}) select {of_top}, k.packets, k.bytes, distinct_of(r.sources) sources from {rows} r \
         join top k on {same} group by {of_top}, k.packets, k.bytes order by {order}, {key}"
    )
}

fn top(p: &Parameters, grouping: Grouping, key: &str, condition: &str, coarsest: Span) -> String {
    top_by(p, grouping, key, condition, coarsest, "packets desc")
}

/// The first keys in an order, with packets and bytes.
fn top_by(p: &Parameters, grouping: Grouping, key: &str, condition: &str, coarsest: Span, order: &str) -> String {
    format!(
        "select {key}, sum(packets) packets, sum(bytes) bytes from {} where {condition} group by {key} \
         order by {order}, {key} limit {}",
        rows(p, grouping, &format!("{key}, packets, bytes"), p.asked(), coarsest),
        p.limit
    )
}

/// What came before the window is only asked whether there was any, so days will do.
fn newcomers(p: &Parameters, grouping: Grouping, key: &str, condition: &str) -> String {
    let ((since, until), coarsest) = match grouping {
        Grouping::Network => (p.days(), Span::Day),
        _ => (p.window(), Span::Hour),
    };
    let now = rows(p, grouping, &format!("{key}, packets, sources"), (Some(since), Some(until)), coarsest);
    let before = rows(p, grouping, key, (None, Some(since)), Span::Day);
    let same: Vec<String> = key.split(", ").map(|key| format!("n.{key} = b.{key}")).collect();
    let keys: Vec<String> = key.split(", ").map(|key| format!("n.{key}")).collect();
    let keys = keys.join(", ");
    format!(
        "select {keys}, min(n.t) first, sum(n.packets) packets, distinct_of(n.sources) sources from {now} n \
         left anti join {before} b on {} where {condition} group by {keys} order by packets desc, {keys} limit {}",
        same.join(" and "),
        p.limit
    )
}

fn against_last_week(p: &Parameters, order: &str) -> String {
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

fn returning(p: &Parameters) -> String {
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

/// Gini coefficient from ranks: 2 Σ i·x(i) / (n Σ x) − (n + 1) / n with x ascending (Gini 1912, in the form of Sen).
fn concentration(p: &Parameters) -> String {
    format!(
        "select max(n) networks, max(total) packets, \
         2.0 * sum(1.0 * rank * packets) / (1.0 * max(n) * max(total)) - (max(n) + 1.0) / max(n) gini, \
         -sum(packets / total * log2(packets / total)) entropy_bits, \
         sum(case when rank > n - 10 then packets else 0 end) / max(total) share_of_ten from (\
         select cast(packets as double) packets, row_number() over (order by packets, network) rank, \
         count(*) over () n, cast(sum(packets) over () as double) total from (\
         select network, sum(packets) packets from {} group by network))",
        rows(p, Grouping::Network, "network, packets", p.asked(), Span::Day)
    )
}
