#!/usr/bin/env python3
"""Reads a lake with engines that are not ours: ClickHouse (chdb) and the Delta reader of PyPI's deltalake.

read_lake.py LAKE  prints, as JSON, for each table its rows and the sum of one column as each engine sees them, and what
ClickHouse answers to questions that count different sources.
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


# Hour, protocol, port, packets, sources; sources of each /24 or /48.
QUESTIONS = {
    "ports": "select toUnixTimestamp(toStartOfHour(ts, 'UTC')), proto, dport, count(), uniqExact(src) from packets "
    "group by 1, 2, 3 order by 1, 2, 3",
    "networks": "select uniqExact(src) s from packets group by substring(dst, 1, if(length(dst) = 4, 3, 6)) order by s",
}


def questions(lake):
    import chdb

    def answer(sql):
        found = chdb.query(sql.replace("packets", f"deltaLakeLocal('{lake}/packets')"), "JSONCompact")
        return [" ".join(map(str, row)) for row in json.loads(found.bytes())["data"]]

    return {name: answer(sql) for name, sql in QUESTIONS.items()}


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
    try:
        answers["questions"] = questions(lake)
    except ImportError as missing:
        answers["questions"] = f"missing: {missing}"
    print(json.dumps(answers))


main()
