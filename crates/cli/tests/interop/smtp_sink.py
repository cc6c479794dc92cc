"""A mail server that keeps, as one JSON line each, what it accepted: aiosmtpd's protocol, nothing of ours.

smtp_sink.py FILE      prints its port on the first line and serves until it is killed
Needs: pip install -r requirements.txt
"""

import asyncio
import email
import email.policy
import json
import sys
import time

from aiosmtpd.smtp import SMTP


class Keep:
    def __init__(self, path):
        self.file = open(path, "a", encoding="utf-8")

    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        line = {
            "at": time.time_ns(),
            "to": envelope.rcpt_tos,
            "id": mail["Message-ID"],
            "kind": mail["X-Noroshi-Kind"],
            "count": int(mail["X-Noroshi-Incidents"]),
            "incidents": mail["X-Noroshi-Incident-Ids"].split(),
            "subject": mail["Subject"],
        }
        self.file.write(json.dumps(line) + "\n")
        # What was accepted is kept, whatever happens to the sender next.
        self.file.flush()
        return "250 ok"


async def main(path):
    handler = Keep(path)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(handler, enable_SMTPUTF8=True), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main(sys.argv[1]))
