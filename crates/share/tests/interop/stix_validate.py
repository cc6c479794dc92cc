"""Validates bundles with the OASIS validator.

Usage: stix_validate.py SHARED BUNDLE...

The validator's package ships without its schemas and then refuses everything, so they are taken from SHARED.
"""

import pathlib
import shutil
import sys

import stix2validator

shared, bundles = pathlib.Path(sys.argv[1]), sys.argv[2:]
schemas = pathlib.Path(stix2validator.__file__).parent / "schemas-2.1/schemas"
if not any(schemas.glob("**/*.json")):
    shutil.copytree(shared / "data/stix/schemas-2.1/schemas", schemas, dirs_exist_ok=True)
options = stix2validator.ValidationOptions(version="2.1")
failed = False
for path in bundles:
    results = stix2validator.validate_file(path, options)
    for result in [results] if not isinstance(results, list) else results:
        if not result.is_valid:
            failed = True
        stix2validator.print_results([result])
sys.exit(1 if failed else 0)
