#!/usr/bin/env python3
"""Asks a lake over Flight SQL with the ADBC driver of PyPI, and prints what it got as JSON.

flight_sql.py ADDRESS TOKEN   Needs: pip install -r requirements.txt
"""
import json
import sys

import adbc_driver_flightsql.dbapi as flight_sql
import adbc_driver_manager
import duckdb
import polars

ADDRESS, TOKEN = sys.argv[1:3]
PORTS = "select dport, count(*) packets from packets group by 1 order by 1"


def connect(token):
    return flight_sql.connect(
        f"grpc://{ADDRESS}", db_kwargs={"adbc.flight.sql.authorization_header": f"Bearer {token}"}, autocommit=True
    )


def refusal(work):
    try:
        work()
    except adbc_driver_manager.Error as error:
        return str(error)
    return None


def ask(connection, sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetch_arrow_table()


answers = {}
with connect(TOKEN) as connection:
    table = ask(connection, PORTS)
    answers["ports"] = table.to_pylist()
    answers["pandas"] = int(table.to_pandas()["packets"].sum())
    answers["duckdb"] = duckdb.sql("select sum(packets) from \"table\"").fetchall()[0][0] is not None
    answers["polars"] = int(polars.from_arrow(table)["packets"].sum())
    answers["polars_direct"] = int(polars.read_database(PORTS, connection)["packets"].sum())
    answers["sources"] = ask(connection, "select ip(src) source, sensor from packets order by seq limit 3").to_pylist()
    answers["rows"] = ask(connection, "select * from packets").num_rows
    objects = connection.adbc_get_objects(depth="tables").read_all().to_pylist()
    schemas = [schema for catalog in objects for schema in catalog["catalog_db_schemas"]]
    answers["tables"] = sorted(table["table_name"] for schema in schemas for table in schema["db_schema_tables"])
    with connection.cursor() as cursor:
        cursor.adbc_prepare(PORTS)
        cursor.execute(PORTS)
        answers["prepared"] = len(cursor.fetchall())
    answers["wrong_table"] = refusal(lambda: ask(connection, "select * from packts"))
    answers["not_a_question"] = refusal(lambda: ask(connection, "drop table packets"))
with connect("wrong") as connection:
    answers["wrong_token"] = refusal(lambda: ask(connection, PORTS))
with connect(sys.argv[3]) as connection:
    answers["weak_token"] = refusal(lambda: ask(connection, PORTS))
print(json.dumps(answers, default=str))
