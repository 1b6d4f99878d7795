"""`make faults`: do every fault to a tiny study, so many times, and write the table."""

import argparse
import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from faults import station
from faults.kills import Kills
from faults.study import Study
from faults.table import Table

KINDS = ("kills", "snakemake", "damage")


def main() -> None:
    words = argparse.ArgumentParser(prog="make faults", description=__doc__)
    words.add_argument("--seed", type=int, default=0, help="of all moments, bits and lengths")
    words.add_argument("--kills", type=int, default=200, help="in all; one in five under Snakemake")
    words.add_argument("--only", nargs="+", choices=KINDS, default=KINDS)
    words.add_argument("--output", type=Path, default=Path("faults"), help="folder of faults.md and faults.json")
    chosen = words.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    station.warm_up()
    table, began = Table(told=lambda text: print(text, flush=True)), time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    undisturbed = Study(folder / "undisturbed").prepare()
    undisturbed.make(folder / "log")
    expected = undisturbed.tables()

    def tried(kind: str, work: Callable[[random.Random], object]) -> None:
        if kind in chosen.only:
            work(random.Random(f"{chosen.seed} {kind}"))
            table.write(chosen.output, {"seed": chosen.seed, "seconds": round(time.monotonic() - began)})

    share = chosen.kills // 5
    tried("snakemake", lambda chance: Kills(expected, table, chance).under_snakemake(folder, share))
    tried("kills", lambda chance: Kills(expected, table, chance).alone(undisturbed.copy(folder / "alone"), 4 * share))
    print(table.markdown())
    if not table.losses:
        shutil.rmtree(folder)
    raise SystemExit(bool(table.losses))


main()
