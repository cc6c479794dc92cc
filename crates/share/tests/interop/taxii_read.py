"""Pushes ten thousand objects with the client of OASIS and reads them back in pages of a hundred.

Usage: taxii_read.py BASE
"""

import sys

from taxii2client.v21 import Server, as_pages

server = Server(f"{sys.argv[1]}/taxii2/")
collection = server.default.collections[0]
assert collection.can_write and collection.can_read
count = 10_000
objects = [
    {
        "type": "ipv4-addr",
        "spec_version": "2.1",
        "id": f"ipv4-addr--00000000-0000-5000-8000-{number:012x}",
        "value": f"192.0.2.{number % 256}",
    }
    for number in range(count)
]
status = collection.add_objects({"objects": objects})
assert status.status == "complete" and status.failure_count == 0, status
pages = seen = 0
ids = set()
for page in as_pages(collection.get_objects, per_request=100):
    pages += 1
    seen += len(page["objects"])
    ids.update(entry["id"] for entry in page["objects"])
assert len(ids) == seen, "an object came twice"
assert len(collection.get_manifest(limit=10)["objects"]) == 10
print(f"pushed {count}, read {seen} in {pages} pages")
