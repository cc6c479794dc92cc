#!/usr/bin/env python3
"""An S3 server on loopback (moto) with one bucket, `noroshi`: prints its address, then serves until its input ends."""
import sys

try:
    import boto3
    from moto.server import ThreadedMotoServer
except ImportError as missing:
    print(f"missing: {missing}", flush=True)
    sys.exit()

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
address = f"http://{host}:{port}"
client = boto3.client("s3", endpoint_url=address, region_name="us-east-1", aws_access_key_id="test",
                      aws_secret_access_key="test")
client.create_bucket(Bucket="noroshi")
print(address, flush=True)
sys.stdin.read()
