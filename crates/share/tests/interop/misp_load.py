"""Loads a MISP feed from a folder with PyMISP and compares it with its manifest.

Usage: misp_load.py FOLDER
"""

import hashlib
import json
import pathlib
import sys

from pymisp import MISPEvent

folder = pathlib.Path(sys.argv[1])
manifest = json.loads((folder / "manifest.json").read_text())
hashes = (folder / "hashes.csv").read_text().splitlines()
events = objects = attributes = 0
for uuid, entry in manifest.items():
    event = MISPEvent()
    event.load_file(str(folder / f"{uuid}.json"))
    assert event.uuid == uuid, (event.uuid, uuid)
    assert event.info == entry["info"]
    assert int(event.timestamp.timestamp()) == entry["timestamp"]
    assert event.Orgc.uuid == entry["Orgc"]["uuid"]
    events, objects, attributes = events + 1, objects + len(event.objects), attributes + len(event.attributes)
    for attribute in event.attributes:
        line = f"{hashlib.md5(attribute.value.encode()).hexdigest()},{uuid}"
        assert line in hashes, line
    for misp_object in event.objects:
        assert misp_object.name == "ddos" and misp_object.get_attributes_by_relation("ip-dst")
print(f"{events} events, {objects} objects, {attributes} attributes")
