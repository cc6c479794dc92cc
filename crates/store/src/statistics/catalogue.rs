//! The statistics, each with its definition.

use super::{Parameters, Statistic};

/// All of them, in the order they are listed.
pub const STATISTICS: &[Statistic] = &[
    Statistic {
        name: "top-ports",
        definition: "Destination ports (ICMP: types) by packets, with bytes and distinct sources.",
        sql: |p| ranking(p, "minutes_ports", "proto, port", "port is not null"),
    },
    Statistic {
        name: "top-networks",
        definition: "Source networks (/24 of IPv4, /48 of IPv6) by packets.",
        sql: |p| ranking(p, "minutes_networks", "network", "true"),
    },
    Statistic {
        name: "top-countries",
        definition: "Countries of the sources by packets; null is not known.",
        sql: |p| ranking(p, "minutes_countries", "country", "true"),
    },
    Statistic {
        name: "top-asns",
        definition: "Autonomous systems of the sources by packets; null is not known.",
        sql: |p| ranking(p, "minutes_asns", "asn", "true"),
    },
    Statistic {
        name: "top-sources",
        definition: "Source addresses by packets, with distinct destinations and ports.",
        sql: |p| {
            format!(
                "select ip(src) source, count(*) packets, count(distinct dst) destinations, count(distinct dport) ports \
                 from packets where src is not null and {} group by src order by packets desc, source limit {}",
                p.scope("ts"),
                p.limit
            )
        },
    },
    Statistic {
        name: "tools",
        definition: "Packets by the scanning tool that the fingerprints of each packet point to, with their share.",
        sql: |p| {
            format!(
                "select tool, sum(packets) packets, 1.0 * sum(packets) / sum(sum(packets)) over () share, \
                 distinct_of(sources) sources from minutes_tools where {} group by tool order by packets desc, tool",
                p.scope("minute")
            )
        },
    },
    Statistic {
        name: "backscatter-victims",
        definition: "Addresses that answer traffic they never got from here (SYN-ACK or RST, TCP), likely victims of \
                     attacks with forged sources.",
        sql: |p| {
            format!(
                "select ip(src) victim, sport victim_port, count(*) packets, count(distinct dst) destinations, \
                 min(ts) first, max(ts) last from packets \
                 where proto = 6 and ((tcp_flags & 18) = 18 or (tcp_flags & 4) = 4) and {} \
                 group by src, sport order by packets desc, victim, victim_port limit {}",
                p.scope("ts"),
                p.limit
            )
        },
    },
    Statistic {
        name: "hourly-heatmap",
        definition: "Packets by weekday (0 is Sunday) and hour of the day, UTC.",
        sql: |p| {
            format!(
                "select date_part('dow', minute) weekday, date_part('hour', minute) hour, sum(packets) packets \
                 from minutes_tools where minute is not null and {} group by 1, 2 order by 1, 2",
                p.scope("minute")
            )
        },
    },
    Statistic {
        name: "timeline",
        definition: "Packets, bytes and distinct sources per hour.",
        sql: |p| {
            format!(
                "select date_trunc('hour', minute) hour, sum(packets) packets, sum(bytes) bytes, \
                 distinct_of(sources) sources from minutes_tools where {} group by 1 order by 1",
                p.scope("minute")
            )
        },
    },
    Statistic {
        name: "sensors",
        definition: "Sensors side by side: packets, bytes, distinct sources and destinations, first and last minute.",
        sql: |p| {
            format!(
                "select sensor, sum(packets) packets, sum(bytes) bytes, distinct_of(sources) sources, \
                 distinct_of(destinations) destinations, min(minute) first, max(minute) last \
                 from minutes_tools where {} group by sensor order by packets desc, sensor",
                p.scope("minute")
            )
        },
    },
    Statistic {
        name: "protocols",
        definition: "Packets, bytes and distinct sources by IP protocol number; null has no IP header.",
        sql: |p| ranking(p, "minutes_ports", "proto", "true"),
    },
    Statistic {
        name: "rare-ports",
        definition: "Ports with the fewest packets, at least one: what nobody else looks at.",
        sql: |p| {
            format!(
                "select proto, port, sum(packets) packets, distinct_of(sources) sources from minutes_ports \
                 where port is not null and {} group by proto, port order by packets, proto, port limit {}",
                p.scope("minute"),
                p.limit
            )
        },
    },
    Statistic {
        name: "new-ports",
        definition: "Ports that received packets in the window (default: the last day of data) and never before it.",
        sql: |p| newcomers(p, "minutes_ports", "proto, port", "port is not null"),
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
        definition: "Source networks that sent in the window (default: the last day of data) and never before it.",
        sql: |p| newcomers(p, "minutes_networks", "network", "true"),
    },
    Statistic {
        name: "returning-networks",
        definition: "Source networks that sent in the window (default: the last day of data) after at least seven \
                     days of silence.",
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
                 from minutes_networks where {} group by 1 order by 1",
                p.scope("minute")
            )
        },
    },
    Statistic {
        name: "packet-sizes",
        definition: "Packets by length on the wire in bytes, in classes that double.",
        sql: |p| {
            format!(
                "select case when wire_len < 64 then 0 when wire_len < 128 then 64 when wire_len < 256 then 128 \
                 when wire_len < 512 then 256 when wire_len < 1024 then 512 when wire_len < 1536 then 1024 \
                 else 1536 end bytes_from, count(*) packets, sum(wire_len) bytes from packets where {} \
                 group by 1 order by 1",
                p.scope("ts")
            )
        },
    },
    Statistic {
        name: "ttl-profile",
        definition: "Packets by the time to live they likely started with (the next of 32, 64, 128, 255) and the mean \
                     number of hops since.",
        sql: |p| {
            format!(
                "select start_ttl, count(*) packets, avg(start_ttl - ttl) mean_hops from (select ttl, \
                 case when ttl <= 32 then 32 when ttl <= 64 then 64 when ttl <= 128 then 128 else 255 end start_ttl \
                 from packets where ttl is not null and {}) group by 1 order by 1",
                p.scope("ts")
            )
        },
    },
    Statistic {
        name: "tcp-flags",
        definition: "TCP packets by their flag bits (FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32, ECE 64, CWR 128).",
        sql: |p| {
            format!(
                "select tcp_flags, count(*) packets, count(distinct src) sources from packets \
                 where tcp_flags is not null and {} group by 1 order by packets desc, tcp_flags limit {}",
                p.scope("ts"),
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

fn ranking(p: &Parameters, table: &str, key: &str, condition: &str) -> String {
    format!(
        "select {key}, sum(packets) packets, sum(bytes) bytes, distinct_of(sources) sources from {table} \
         where {condition} and {} group by {key} order by packets desc, {key} limit {}",
        p.scope("minute"),
        p.limit
    )
}

fn newcomers(p: &Parameters, table: &str, key: &str, condition: &str) -> String {
    let (since, until) = p.window(table);
    format!(
        "select {key}, min(minute) first, sum(packets) packets, distinct_of(sources) sources from {table} \
         where {condition} and minute < {until} and {} group by {key} having min(minute) >= {since} \
         order by packets desc, {key} limit {}",
        p.sensor_only(),
        p.limit
    )
}

fn against_last_week(p: &Parameters, order: &str) -> String {
    let (since, until) = p.window("minutes_ports");
    let (now, before, nulls) = match order {
        "desc" => ("packets >= 10", "true", "first"),
        _ => ("true", "week_before >= 10", "last"),
    };
    format!(
        "select proto, port, packets, week_before, 1.0 * packets / nullif(week_before, 0) ratio from (\
         select proto, port, \
         sum(case when minute >= {since} then packets else 0 end) packets, \
         sum(case when minute < {until} - interval '7 days' then packets else 0 end) week_before \
         from minutes_ports where port is not null and {sensor} \
         and minute >= {since} - interval '7 days' and minute < {until} \
         and (minute >= {since} or minute < {until} - interval '7 days') group by proto, port) \
         where {now} and {before} order by ratio {order} nulls {nulls}, packets {order}, proto, port limit {limit}",
        sensor = p.sensor_only(),
        limit = p.limit
    )
}

fn returning(p: &Parameters) -> String {
    let (since, until) = p.window("minutes_networks");
    format!(
        "select network, max(case when minute < {since} then minute end) last_before, \
         min(case when minute >= {since} then minute end) back, \
         sum(case when minute >= {since} then packets else 0 end) packets \
         from minutes_networks where minute < {until} and {} group by network \
         having max(case when minute < {since} then minute end) \
         < min(case when minute >= {since} then minute end) - interval '7 days' \
         order by packets desc, network limit {}",
        p.sensor_only(),
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
         select network, sum(packets) packets from minutes_networks where {} group by network))",
        p.scope("minute")
    )
}
