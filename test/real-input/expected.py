"""Reads air-quality.csv and prints the measurements that the control plane has to hold, one JSON object a line.

Written in another language than what it checks, with decimal arithmetic, and sharing nothing with it.
Usage: expected.py FILE DEVICE [ROWS]
"""

import csv
import json
import sys
from datetime import datetime, timezone
from decimal import Decimal

# column: (channel, unit, factor)
COLUMNS = {
    "CO(GT)": ("co", "ug/m3", Decimal(1000)),  # mg/m3
    "PT08.S1(CO)": ("co-raw", "/", Decimal(1)),
    "NMHC(GT)": ("nmhc", "ug/m3", Decimal(1)),
    "C6H6(GT)": ("benzene", "ug/m3", Decimal(1)),
    "PT08.S2(NMHC)": ("nmhc-raw", "/", Decimal(1)),
    "NOx(GT)": ("nox", "ppm", Decimal("0.001")),  # ppb
    "PT08.S3(NOx)": ("nox-raw", "/", Decimal(1)),
    "NO2(GT)": ("no2", "ug/m3", Decimal(1)),
    "PT08.S4(NO2)": ("no2-raw", "/", Decimal(1)),
    "PT08.S5(O3)": ("o3-raw", "/", Decimal(1)),
    "T": ("temperature", "Cel", Decimal(1)),
    "RH": ("humidity", "%RH", Decimal(1)),
    "AH": ("absolute-humidity", "/", Decimal(1)),
}
MISSING = Decimal(-200)


def main() -> None:
    path, device = sys.argv[1], sys.argv[2]
    rows = int(sys.argv[3]) if len(sys.argv) > 3 else None
    with open(path, newline="", encoding="utf-8-sig") as file:
        for number, row in enumerate(csv.DictReader(file)):
            if rows is not None and number >= rows:
                break
            time = datetime.fromisoformat(f"{row['Date']}T{row['Time'].zfill(8)}").replace(tzinfo=timezone.utc)
            for column, (channel, unit, factor) in COLUMNS.items():
                text = row[column].strip()
                if text == "" or Decimal(text) == MISSING:
                    continue
                value = float(Decimal(text) * factor)
                print(json.dumps({"n": f"{device}:{channel}", "u": unit, "v": value, "t": int(time.timestamp())}))


main()
