#!/usr/bin/env python3
"""Reads a lake with engines that are not ours: ClickHouse (chdb) and the Delta reader of PyPI's deltalake.

read_lake.py LAKE  prints, as JSON, for each table its rows and the sum of one column as each engine sees them.
Needs: pip install -r requirements.txt. A missing package is reported as such; the caller decides whether that fails.
"""
import json
import os
import sys

# Table, and a column whose sum is compared: row counts alone would not notice a column read wrongly.
TABLES = [("packets", "seq"), ("minutes_ports", "packets"), ("days_networks", "bytes"), ("minutes_tools", "packets")]


def with_deltalake(path, column):
    import pyarrow.compute as pc
    from deltalake import DeltaTable

    table = DeltaTable(path).to_pyarrow_table(columns=[column])
    return [table.num_rows, pc.sum(table.column(column)).as_py()]


def with_chdb(path, column):
    import chdb

    answer = chdb.query(f"select count(), sum({column}) from deltaLakeLocal('{path}')", "JSONCompact")
    return [int(cell) for cell in json.loads(answer.bytes())["data"][0]]


def main():
    # chdb reads only below the working directory, and wants the whole path nevertheless.
    lake = os.path.abspath(sys.argv[1])
    os.chdir(lake)
    answers = {}
    for engine, read in [("deltalake", with_deltalake), ("chdb", with_chdb)]:
        try:
            answers[engine] = {table: read(f"{lake}/{table}", column) for table, column in TABLES}
        except ImportError as missing:
            answers[engine] = f"missing: {missing}"
    print(json.dumps(answers))


main()
