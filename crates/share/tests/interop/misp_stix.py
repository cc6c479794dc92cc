"""Converts our MISP event to STIX and our STIX bundle to MISP with misp-stix, and prints the addresses that arrive.

Usage: misp_stix.py FOLDER      with event.json and bundle.json
"""

import json
import pathlib
import re
import sys

import stix2
from misp_stix_converter import ExternalSTIX2toMISPParser, MISPtoSTIX21Parser

folder = pathlib.Path(sys.argv[1])
ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+|[0-9a-f:]+::[0-9a-f]+")

forth = MISPtoSTIX21Parser()
forth.parse_misp_event(json.loads((folder / "event.json").read_text()))
if forth.errors:
    sys.exit(f"to STIX: {forth.errors}")
bundle = forth.bundle
for address in sorted(set(ADDRESS.findall(bundle.serialize()))):
    print("to stix:", address)

back = ExternalSTIX2toMISPParser()
back.load_stix_bundle(stix2.parse((folder / "bundle.json").read_text(), allow_custom=True))
back.parse_stix_bundle()
# MISP has nothing to make of a STIX incident; what is in it stands in objects that it takes as well.
errors = [error for found in back.errors.values() for error in found if not error.endswith("type: incident")]
if errors:
    sys.exit(f"to MISP: {errors}")
for address in sorted(set(ADDRESS.findall(back.misp_event.to_json()))):
    print("to misp:", address)
