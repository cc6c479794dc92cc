"""Pushes objects to a hub with the client of OASIS, the last about a member's host, and reads them back in pages.

Usage: taxii_hub.py BASE USER TOKEN COUNT ADDRESS
"""

import sys

from taxii2client.v21 import Server, as_pages

base, user, token, count, address = sys.argv[1:]
count = int(count)
server = Server(f"{base}/taxii2/", user=user, password=token)
intake = next(c for c in server.default.collections if c.alias == "intake")
assert intake.can_write and intake.can_read
objects = [
    {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--00000000-0000-4000-8000-{number:012x}",
        "created": "2026-01-01T00:00:00.000Z",
        "modified": "2026-01-01T00:00:00.000Z",
        "name": "scanned us",
        "confidence": 90,
        "indicator_types": ["malicious-activity"],
        "pattern": f"[ipv4-addr:value = '{address if number == count - 1 else '192.0.2.%d' % (number % 256)}']",
        "pattern_type": "stix",
        "valid_from": "2026-01-01T00:00:00Z",
    }
    for number in range(count)
]
for start in range(0, count, 5000):
    status = intake.add_objects({"objects": objects[start : start + 5000]})
    assert status.status == "complete" and status.failure_count == 0, status
# Once more: known objects are no news.
intake.add_objects({"objects": objects[-10:]})
pages = 0
ids, seen = set(), 0
for page in as_pages(intake.get_objects, per_request=100):
    pages += 1
    seen += len(page["objects"])
    ids.update(entry["id"] for entry in page["objects"])
assert len(ids) == seen == count, (len(ids), seen)
print(f"pushed {count}, read {seen} in {pages} pages")
