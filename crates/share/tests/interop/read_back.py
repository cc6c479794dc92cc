"""Reads back, with other people's parsers, what was made of text that attackers chose; complains of anything active.

Usage: read_back.py FOLDER      files NUMBER.KIND; those of number 0 were made of harmless text and show the shape
The standard library reads mails, pages, tables and lists; stix2 and pymisp read their own formats where they are installed.
"""

import collections
import csv
import email
import email.policy
import html.parser
import ipaddress
import json
import pathlib
import re
import sys
import unicodedata

LINKS = ("https://portal.example", "https://attack.mitre.org/techniques/")
CHATS = (".slack", ".mattermost", ".teams")
HIDDEN = {"Cc", "Cf", "Co", "Zl", "Zp"}
FORMULA = tuple("=+-@\t\r|%")
problems, read = [], collections.Counter()


def complain(name, what):
    problems.append(f"{name}: {what}")


def harmless(name, text, breaks="", shown=False, links=True):
    for char in text:
        if char not in breaks and unicodedata.category(char) in HIDDEN:
            complain(name, f"hidden character {char!r} in {text[:80]!r}")
    if links and re.search(r"198\.18\.|kyoto", text, re.IGNORECASE):
        complain(name, f"a sensor: {text[:80]!r}")
    # Words that mail programs and chats turn into links.
    schemes = r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"<>]*" + (r"|javascript:\S*" if shown else "")
    for link in re.findall(schemes, text) if links else ():
        if not link.startswith(LINKS):
            complain(name, f"a link: {link!r}")


class Page(html.parser.HTMLParser):
    def __init__(self, name):
        super().__init__()
        self.name, self.tags, self.text = name, set(), []

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        for key, value in attributes:
            if key.startswith("on") or key in ("src", "srcdoc", "action", "formaction"):
                complain(self.name, f"attribute {key}")
            if key == "href" and not (value or "").startswith(LINKS):
                complain(self.name, f"link to {value!r}")
            if key == "style" and "url(" in (value or ""):
                complain(self.name, f"style {value!r}")

    def handle_data(self, data):
        self.text.append(data)


def mail(path, shape):
    message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    names = sorted(message.keys())
    if shape.setdefault("headers", names) != names:
        complain(path.name, f"headers {names}")
    for value in message.values():
        harmless(path.name, str(value))
    kinds = [part.get_content_type() for part in message.walk()]
    if shape.setdefault("parts", kinds) != kinds:
        complain(path.name, f"parts {kinds}")
    page = Page(path.name)
    page.feed(message.get_body(("html",)).get_content())
    if not page.tags <= shape.setdefault("tags", page.tags):
        complain(path.name, f"tags {page.tags}")
    harmless(path.name, "".join(page.text), "\r\n", shown=True)
    harmless(path.name, message.get_body(("plain",)).get_content(), "\r\n", shown=True)


def table(path, shape):
    rows = [row for row in csv.reader(path.open(newline="", encoding="utf-8")) if row and not row[0].startswith("#")]
    widths = (len(rows), {len(row) for row in rows})
    if shape.setdefault(path.suffixes[0], widths) != widths:
        complain(path.name, f"{widths} cells, not {shape[path.suffixes[0]]}")
    for cell in (cell for row in rows for cell in row):
        harmless(path.name, cell, links=False)
        if cell.startswith(FORMULA):
            complain(path.name, f"formula {cell!r}")


def strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key not in ("schema", "$schema"):
                yield key
                yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)


def document(path, shape):
    value = json.loads(path.read_text(encoding="utf-8"))
    for text in strings(value):
        harmless(path.name, text, "\n", shown=path.suffixes[0] in CHATS, links=not path.suffixes[0].startswith(".line"))
    kind = path.suffixes[0]
    # These two take their time: each single string, and every seventh pair.
    number = int(path.name.split(".")[0])
    slow = number <= 26 or number % 7 == 0
    if kind == ".stix" and stix2 and slow:
        bundle = stix2.parse(value, allow_custom=True)
        counts = collections.Counter(thing["type"] for thing in bundle["objects"])
        if shape.setdefault("stix", counts) != counts:
            complain(path.name, f"objects {counts}")
    if kind == ".misp" and MISPEvent and slow:
        event = MISPEvent()
        event.load(value)
        counts = (len(event.objects), len(event.attributes))
        if shape.setdefault("misp", counts) != counts:
            complain(path.name, f"objects and attributes {counts}")
    if kind in CHATS:
        for text in strings(value):
            # In Slack only what stands in angle brackets acts.
            if re.search(r"<[!@#]" if kind == ".slack" else r"<[!@#]|@(here|channel|all|everyone)\b", text):
                complain(path.name, f"calls people: {text!r}")


def cef(path, shape):
    for line in path.read_text(encoding="utf-8").split("\n"):
        harmless(path.name, line)
        head = re.split(r"(?<!\\)(?:\\\\)*\|", line[line.index("CEF:") :], maxsplit=7)
        keys = re.findall(r"(?:^| )([A-Za-z0-9]+)=", head[7])
        if shape.setdefault("cef", (len(head), keys)) != (len(head), keys):
            complain(path.name, f"fields {keys}")


def plain(path, shape):
    lines = path.read_text(encoding="utf-8").splitlines()
    entries = [str(ipaddress.ip_network(line)) for line in lines if not line.startswith("#")]
    if shape.setdefault("plain", (len(lines), entries)) != (len(lines), entries):
        complain(path.name, f"entries {entries}")
    for line in lines:
        harmless(path.name, line, links=False)


def script(path, shape):
    lines = path.read_text(encoding="utf-8").splitlines()
    code = [line for line in lines if not line.lstrip().startswith("#")]
    if shape.setdefault(path.suffix, (len(lines), code)) != (len(lines), code):
        complain(path.name, "other commands")
    for line in lines:
        harmless(path.name, line, links=False)


try:
    import stix2
except ImportError:
    stix2 = None
try:
    from pymisp import MISPEvent
except ImportError:
    MISPEvent = None
if len(sys.argv) > 2 and not (stix2 and MISPEvent):
    sys.exit("stix2 and pymisp are needed: pip install -r requirements.txt")

READERS = {".eml": mail, ".csv": table, ".json": document, ".cef": cef, ".plain": plain, ".nft": script, ".flow": script}
shape = {}
for path in sorted(pathlib.Path(sys.argv[1]).iterdir(), key=lambda path: int(path.name.split(".")[0])):
    try:
        READERS[path.suffix](path, shape)
    except Exception as error:  # A reader that refuses what we wrote is a finding as well.
        complain(path.name, f"{type(error).__name__}: {error}")
    read[".".join(path.name.split(".")[1:])] += 1
print(", ".join(f"{count} {kind}" for kind, count in sorted(read.items())))
print("\n".join(problems[:40]), file=sys.stderr)
sys.exit(1 if problems else 0)
