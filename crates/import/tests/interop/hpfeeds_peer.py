"""A client of hpfeeds by the reference implementation, for tests.

hpfeeds_peer.py publish|subscribe PORT IDENT SECRET CHANNEL

publish: each line of standard input is a message, published when it comes.
subscribe: each message that comes is a line on standard output: identity, channel, payload.
Either ends when the broker objects, with its words on standard error.
"""

import sys

import hpfeeds

what, port, ident, secret, channel = sys.argv[1:]
client = hpfeeds.new("127.0.0.1", int(port), ident, secret, timeout=30, reconnect=False)


def objected(words):
    print(words, file=sys.stderr, flush=True)
    client.stop()


if what == "publish":
    for line in sys.stdin:
        client.publish(channel, line.rstrip("\n"))
    words = client.wait(2)
    if words:
        objected(words)
else:
    client.subscribe(channel)
    client.run(
        lambda who, where, payload: print(who, where, bytes(payload).decode(), flush=True),
        objected,
    )
