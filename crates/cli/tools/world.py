#!/usr/bin/env python3
"""Writes src/report/world.rs: the outlines of countries, projected and simplified.

Input: countries-110m.json and countries-50m.json of the npm package world-atlas 2.0.2 (TopoJSON made from Natural
Earth, public domain; the package is under the ISC licence). Countries that the coarse file leaves out become points.

    python3 tools/world.py path/to/world-atlas > src/report/world.rs
"""

import json
import math
import sys

WIDTH = 960.0
# Antarctica sends no packets and would take a fifth of the picture.
LEFT_OUT = {"AQ"}
# Detours of an outline smaller than this many pixels are left out.
TOLERANCE = 0.35

# ISO 3166-1 numeric and alpha-2.
ISO = """
    004AF 008AL 010AQ 012DZ 016AS 020AD 024AO 028AG 031AZ 032AR 036AU 040AT 044BS 048BH 050BD 051AM 
    052BB 056BE 060BM 064BT 068BO 070BA 072BW 074BV 076BR 084BZ 086IO 090SB 092VG 096BN 100BG 104MM 
    108BI 112BY 116KH 120CM 124CA 132CV 136KY 140CF 144LK 148TD 152CL 156CN 158TW 162CX 166CC 170CO 
    174KM 175YT 178CG 180CD 184CK 188CR 191HR 192CU 196CY 203CZ 204BJ 208DK 212DM 214DO 218EC 222SV 
    226GQ 231ET 232ER 233EE 234FO 238FK 239GS 242FJ 246FI 248AX 250FR 254GF 258PF 260TF 262DJ 266GA 
    268GE 270GM 275PS 276DE 288GH 292GI 296KI 300GR 304GL 308GD 312GP 316GU 320GT 324GN 328GY 332HT 
    334HM 336VA 340HN 344HK 348HU 352IS 356IN 360ID 364IR 368IQ 372IE 376IL 380IT 384CI 388JM 392JP 
    398KZ 400JO 404KE 408KP 410KR 414KW 417KG 418LA 422LB 426LS 428LV 430LR 434LY 438LI 440LT 442LU 
    446MO 450MG 454MW 458MY 462MV 466ML 470MT 474MQ 478MR 480MU 484MX 492MC 496MN 498MD 499ME 500MS 
    504MA 508MZ 512OM 516NA 520NR 524NP 528NL 531CW 533AW 534SX 535BQ 540NC 548VU 554NZ 558NI 562NE 
    566NG 570NU 574NF 578NO 580MP 581UM 583FM 584MH 585PW 586PK 591PA 598PG 600PY 604PE 608PH 612PN 
    616PL 620PT 624GW 626TL 630PR 634QA 638RE 642RO 643RU 646RW 652BL 654SH 659KN 660AI 662LC 663MF 
    666PM 670VC 674SM 678ST 682SA 686SN 688RS 690SC 694SL 702SG 703SK 704VN 705SI 706SO 710ZA 716ZW 
    724ES 728SS 729SD 732EH 740SR 744SJ 748SZ 752SE 756CH 760SY 762TJ 764TH 768TG 772TK 776TO 780TT 
    784AE 788TN 792TR 795TM 796TC 798TV 800UG 804UA 807MK 818EG 826GB 831GG 832JE 833IM 834TZ 840US 
    850VI 854BF 858UY 860UZ 862VE 876WF 882WS 887YE 894ZM 
"""
NAMES = {  # where Natural Earth abbreviates, or has no own entry
    "BA": "Bosnia and Herzegovina", "CD": "DR Congo", "CF": "Central African Republic", "CG": "Congo",
    "CI": "Côte d'Ivoire", "CZ": "Czechia", "DO": "Dominican Republic", "EH": "Western Sahara", "FK": "Falkland Islands",
    "GQ": "Equatorial Guinea", "MK": "North Macedonia", "SB": "Solomon Islands", "SS": "South Sudan", "SZ": "Eswatini",
    "TF": "French Southern Territories", "TR": "Türkiye", "US": "United States", "AG": "Antigua and Barbuda",
    "AX": "Åland", "BL": "Saint Barthélemy", "CK": "Cook Islands", "FO": "Faroe Islands", "FM": "Micronesia",
    "HM": "Heard Island and McDonald Islands", "IO": "British Indian Ocean Territory", "KN": "Saint Kitts and Nevis",
    "KY": "Cayman Islands", "MF": "Saint Martin", "MH": "Marshall Islands", "MP": "Northern Mariana Islands",
    "PF": "French Polynesia", "PM": "Saint Pierre and Miquelon", "PN": "Pitcairn Islands", "SX": "Sint Maarten",
    "GS": "South Georgia and the South Sandwich Islands", "ST": "São Tomé and Príncipe", "VA": "Vatican",
    "TC": "Turks and Caicos Islands", "VC": "Saint Vincent and the Grenadines", "VG": "British Virgin Islands",
    "VI": "US Virgin Islands", "WF": "Wallis and Futuna",
}
# Not in the fine file on their own: name, longitude, latitude.
EXTRA = {
    "BQ": ("Caribbean Netherlands", -68.3, 12.2), "CC": ("Cocos Islands", 96.8, -12.2),
    "CX": ("Christmas Island", 105.6, -10.5), "GF": ("French Guiana", -53.1, 4.0), "GI": ("Gibraltar", -5.35, 36.1),
    "GP": ("Guadeloupe", -61.5, 16.2), "MQ": ("Martinique", -61.0, 14.7), "RE": ("Réunion", 55.5, -21.1),
    "SJ": ("Svalbard and Jan Mayen", 16.0, 78.5), "TK": ("Tokelau", -171.8, -9.2), "TV": ("Tuvalu", 179.2, -8.5),
    "XK": ("Kosovo", 20.9, 42.6), "YT": ("Mayotte", 45.2, -12.8),
}


def equal_earth(longitude, latitude):
    """Equal Earth projection (Savric, Patterson and Jenny 2018): areas stay comparable."""
    a1, a2, a3, a4 = 1.340264, -0.081106, 0.000893, 0.003796
    root = math.sqrt(3) / 2
    theta = math.asin(root * math.sin(math.radians(latitude)))
    t2 = theta * theta
    t6 = t2**3
    x = math.radians(longitude) * math.cos(theta) / (root * (a1 + 3 * a2 * t2 + t6 * (7 * a3 + 9 * a4 * t2)))
    return x, theta * (a1 + a2 * t2 + t6 * (a3 + a4 * t2))


SCALE = WIDTH / (2 * equal_earth(180, 0)[0])
TOP = equal_earth(0, 84)[1]
HEIGHT = round((TOP - equal_earth(0, -57)[1]) * SCALE)


def pixel(longitude, latitude):
    x, y = equal_earth(longitude, latitude)
    return x * SCALE + WIDTH / 2, (TOP - y) * SCALE


def simplify(points, tolerance):
    """Douglas and Peucker."""
    if len(points) < 3:
        return points
    (ax, ay), (bx, by) = points[0], points[-1]
    length = math.hypot(bx - ax, by - ay)
    worst, at = 0.0, 0
    for i, (x, y) in enumerate(points[1:-1], 1):
        far = abs((bx - ax) * (ay - y) - (ax - x) * (by - ay)) / length if length else math.hypot(x - ax, y - ay)
        if far > worst:
            worst, at = far, i
    if worst <= tolerance:
        return [points[0], points[-1]]
    return simplify(points[: at + 1], tolerance)[:-1] + simplify(points[at:], tolerance)


def load(path):
    """Every country of a TopoJSON file: (numeric id, name, rings of longitudes and latitudes)."""
    world = json.load(open(path, encoding="utf-8"))
    (sx, sy), (tx, ty) = world["transform"]["scale"], world["transform"]["translate"]
    arcs = []
    for arc in world["arcs"]:
        x = y = 0
        line = []
        for dx, dy in arc:
            x, y = x + dx, y + dy
            line.append((x * sx + tx, y * sy + ty))
        arcs.append(line)

    def ring(indices):
        points = []
        for index in indices:
            line = arcs[index] if index >= 0 else arcs[~index][::-1]
            points += line[1:] if points else line
        return points

    for shape in world["objects"]["countries"]["geometries"]:
        polygons = {"Polygon": [shape["arcs"]], "MultiPolygon": shape["arcs"]}.get(shape["type"], [])
        yield shape.get("id"), shape["properties"]["name"], [ring(r) for polygon in polygons for r in polygon]


def area(points):
    return abs(sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in zip(points, points[1:] + points[:1]))) / 2


def halves(points):
    """A ring that crosses the antimeridian would draw a line through the whole picture: its two parts."""
    if max(abs(a[0] - b[0]) for a, b in zip(points, points[1:])) < 180:
        return [points]
    return [part for part in ([p for p in points if p[0] > 0], [p for p in points if p[0] <= 0]) if len(part) > 2]


def path(rings):
    """SVG path in tenths of a pixel, relative, without spaces where none are needed."""
    out = []
    for points in [half for ring in rings for half in halves(ring)]:
        points = [pixel(*point) for point in points]
        half = len(points) // 2
        kept = simplify(points[: half + 1], TOLERANCE)[:-1] + simplify(points[half:], TOLERANCE)[:-1]
        kept = [(round(x * 10), round(y * 10)) for x, y in kept]
        if len(kept) < 3 or area(kept) < 60:
            continue
        text, (px, py) = f"M{kept[0][0]} {kept[0][1]}l", kept[0]
        steps = []
        for x, y in kept[1:]:
            if (x, y) != (px, py):
                steps.append(f"{x - px} {y - py}".replace(" -", "-"))
            px, py = x, y
        for i, step in enumerate(steps):
            text += step if i == 0 or step.startswith("-") else " " + step
        out.append(text + "z")
    return "".join(out)


def main(folder):
    alpha = {item[:3]: item[3:] for item in ISO.split()}
    coarse, fine = load(f"{folder}/countries-110m.json"), load(f"{folder}/countries-50m.json")
    rows = {}
    for number, name, rings in coarse:
        code = alpha.get(number, {"Kosovo": "XK", "N. Cyprus": "", "Somaliland": ""}.get(name))
        if code is not None and code not in LEFT_OUT:
            rows.setdefault((code, name), []).append(path(rings))
    table = {}
    for (code, name), paths in rows.items():
        # Land without a code of its own is drawn, but nothing is counted there.
        table[code or "-" + name] = (NAMES.get(code, name) if code else "", "".join(paths), None)
    for number, name, rings in fine:
        code = alpha.get(number)
        if code and code not in table and code not in LEFT_OUT and rings:
            largest = max(rings, key=area)
            x, y = (sum(c) / len(largest) for c in zip(*largest))
            table[code] = (NAMES.get(code, name), "", pixel(x, y))
    for code, (name, longitude, latitude) in EXTRA.items():
        if code not in table:
            table[code] = (name, "", pixel(longitude, latitude))
    print("//! Outlines of countries for the map, written by `tools/world.py` (see NOTICE): do not edit.")
    print("//!")
    print("//! Equal Earth projection; coordinates are tenths of a unit of the picture.")
    print()
    print("/// Width and height of the picture.")
    print(f"pub const SIZE: (u32, u32) = ({WIDTH:.0f}, {HEIGHT});")
    print()
    print("/// A country or other piece of land.")
    print("pub struct Land {")
    print("    /// ISO 3166 alpha-2; empty for land without one.")
    print("    pub code: &'static str,")
    print("    /// English name.")
    print("    pub name: &'static str,")
    print("    /// SVG path; empty for land too small to be drawn.")
    print("    pub outline: &'static str,")
    print("    /// Where land too small to be drawn lies.")
    print("    pub point: Option<(i32, i32)>,")
    print("}")
    print()
    print("/// The English name of a country.")
    print("pub fn name(code: &str) -> Option<&'static str> {")
    print("    let at = LANDS.binary_search_by(|land| land.code.cmp(code)).ok()?;")
    print("    (!LANDS[at].name.is_empty()).then_some(LANDS[at].name)")
    print("}")
    print()
    print("/// Every piece of land, by code.")
    print("#[rustfmt::skip]")
    print("pub const LANDS: &[Land] = &[")
    for key in sorted(table, key=lambda key: "" if key.startswith("-") else key):
        name, outline, point = table[key]
        code = "" if key.startswith("-") else key
        place = "None" if point is None else f"Some(({round(point[0] * 10)}, {round(point[1] * 10)}))"
        print(f'    Land {{ code: "{code}", name: "{name}", outline: "{outline}", point: {place} }},')
    print("];")


main(sys.argv[1])
