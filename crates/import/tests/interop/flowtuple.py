#!/usr/bin/env python3
"""Writes the FlowTuple files of tests/data with fastavro:  flowtuple.py FOLDER   (pip install fastavro)

200 records of 7 packets of 60 bytes each, 100 per interval of five minutes; every fourth is an echo request. Field names
and types are those of CAIDA's corsaro 3.
"""
import sys

import fastavro

LONG, INT, TEXT = "long", "int", "string"
LIST = {"type": "array", "items": "long"}
V4 = (
    [(n, LONG) for n in ("time", "src_ip", "dst_net")]
    + [(n, INT) for n in ("dst_port", "protocol")]
    + [("packet_cnt", LONG)]
    + [(n, INT) for n in ("uniq_dst_ips", "uniq_pkt_sizes", "uniq_ttls", "uniq_src_ports", "uniq_tcp_flags",
                          "first_syn_length", "first_tcp_rwin")]
    + [(n, LIST) for n in ("common_pktsizes", "common_pktsize_freqs", "common_ttls", "common_ttl_freqs",
                           "common_srcports", "common_srcport_freqs", "common_tcpflags", "common_tcpflag_freqs")]
    + [(n, TEXT) for n in ("maxmind_continent", "maxmind_country", "netacq_continent", "netacq_country")]
    + [("prefix2asn", LONG)]
)
V3 = (
    [(n, LONG) for n in ("time", "src_ip", "dst_ip")]
    + [(n, INT) for n in ("src_port", "dst_port", "protocol", "ttl", "tcp_flags", "ip_len", "tcp_synlen",
                          "tcp_synwinlen")]
    + [("packet_cnt", LONG)]
    + [(n, INT) for n in ("is_spoofed", "is_masscan")]
    + [(n, TEXT) for n in ("maxmind_continent", "maxmind_country", "netacq_continent", "netacq_country")]
    + [("prefix2asn", LONG)]
)


def schema(name, fields):
    return {"namespace": "org.caida.corsaro", "type": "record", "name": name,
            "fields": [{"name": n, "type": t} for n, t in fields]}


def records(fields):
    for at in range(200):
        icmp = at % 4 == 0
        four = fields is V4
        known = {
            "time": 1767225600 + at // 100 * 300,
            "src_ip": 0xCB007100 + at % 250,
            "dst_net": 0xC0000200,
            "dst_ip": 0xC0000200 + at,
            "src_port": 8 if icmp else 40000,
            "dst_port": (8 << 8 if four else 0) if icmp else 23,
            "protocol": 1 if icmp else 6,
            "packet_cnt": 7,
            "ip_len": 60,
            "tcp_flags": 0 if icmp else 2,
            "uniq_tcp_flags": 1,
            "common_pktsizes": [60],
            "common_pktsize_freqs": [7],
            "common_tcpflags": [0 if icmp else 2],
            "common_tcpflag_freqs": [7],
            "maxmind_country": "JP",
            "prefix2asn": 64496,
        }
        empty = {LONG: 0, INT: 0, TEXT: ""}
        yield {n: known.get(n, [] if isinstance(t, dict) else empty[t]) for n, t in fields}


def main():
    folder = sys.argv[1]
    for name, fields, codec in [("flowtuple4", V4, "null"), ("flowtuple4", V4, "deflate"), ("flowtuple3", V3, "deflate")]:
        with open(f"{folder}/{name}.{codec}.avro", "wb") as out:
            # A fixed mark makes the same file every time.
            fastavro.writer(out, schema(name, fields), records(fields), codec=codec, sync_marker=b"0123456789abcdef",
                            sync_interval=4000)


main()
