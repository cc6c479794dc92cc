#!/usr/bin/env python3
"""Reads a FlowTuple file with fastavro and prints, as JSON: records, sum of packets, and packets by destination port."""
import json
import sys

try:
    import fastavro
except ImportError as missing:
    print(json.dumps(f"missing: {missing}"))
    sys.exit()

records = packets = 0
ports = {}
with open(sys.argv[1], "rb") as file:
    reader = fastavro.reader(file)
    name = reader.writer_schema["name"]
    for record in reader:
        records += 1
        packets += record["packet_cnt"]
        ports[record["dst_port"]] = ports.get(record["dst_port"], 0) + record["packet_cnt"]
        assert record["dst_net"] & 0xFF == 0
        assert record["packet_cnt"] >= sum(record["common_ttl_freqs"])
        assert 1 <= record["uniq_dst_ips"] <= 256
print(json.dumps({"name": name, "records": records, "packets": packets, "ports": ports}))
