"""How long the best plate takes: 2,000 candidates, one plate of 96 wells, rule by rule and together.

    python benchmarks/plate_choice.py [--candidates 2000] [--seconds 60] [--gap 0.01] [--cases all distance ...]

Candidates are double mutants of thirty sites of a random protein; their values are sums of random effects of their
mutations and a part of their own. Asked: a proven gap of at most 1 % in 60 seconds on two cores. Prints a table:
seconds in all (CBC's and what leads to it), the gap that is proven, mutants, price.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

from multimep.mutations import AMINO_ACIDS, parse
from multimep.oligos import parts
from multimep.plate_choice import choose
from multimep.plate_programme import Effort
from multimep.plate_rules import Candidate, PlateError, Rules


def candidates(number: int, depth: int, seed: int) -> list[Candidate]:
    """Mutants of thirty sites with values, drawn with the seed."""
    draw = np.random.default_rng(seed)
    wild_type = "".join(draw.choice(list(AMINO_ACIDS), 60))
    effects: dict[str, float] = {}
    chosen: dict[str, float] = {}
    while len(chosen) < number:
        sites = np.sort(draw.choice(np.arange(1, 31), depth, replace=False))
        letters = [draw.choice(list(AMINO_ACIDS.replace(wild_type[site - 1], ""))) for site in sites]
        name = ":".join(f"{wild_type[site - 1]}{site}{new}" for site, new in zip(sites, letters, strict=True))
        effect = sum(effects.setdefault(one, float(draw.normal())) for one in name.split(":"))
        chosen[name] = effect + 0.3 * float(draw.normal())
    return [Candidate(name, value, parts(parse(name), 15)) for name, value in chosen.items()]


def cases(pool: list[Candidate]) -> dict[str, Rules]:
    """What is asked of the solver."""
    wanted = {pool[0].mutations[0]: 3}
    money = {"oligo_price": 10.0, "mutant_price": 5.0}
    return {
        "wells": Rules(),
        "caps": Rules(site_cap=8, required=wanted),
        "distance": Rules(distance=3, site_cap=10),
        "budget": Rules(**money, budget=1200.0),
        "diversity": Rules(diversity=1.0, site_cap=8),
        "all": Rules(**money, budget=1500.0, diversity=0.5, distance=2, site_cap=8, required=wanted),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, default=2000)
    parser.add_argument("--depth", type=int, default=2, help="mutations of each")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--gap", type=float, default=0.01)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--cases", nargs="*")
    arguments = parser.parse_args()
    print("| rules | seed | seconds | gap | mutants | price |\n| --- | ---: | ---: | ---: | ---: | ---: |")
    for seed in range(arguments.seeds):
        pool = candidates(arguments.candidates, arguments.depth, seed)
        for name, rules in cases(pool).items():
            if arguments.cases and name not in arguments.cases:
                continue
            begin = time.perf_counter()
            try:
                found = choose(pool, rules, Effort(arguments.seconds, arguments.gap, arguments.threads))
            except PlateError as error:
                print(f"| {name} | {seed} | {time.perf_counter() - begin:.1f} | {error} | | |", flush=True)
                continue
            seconds = time.perf_counter() - begin
            row = (name, seed, f"{seconds:.1f}", f"{found.gap:.2%}", len(found.chosen), f"{found.price:g}")
            print("|", " | ".join(map(str, row)), "|", flush=True)


if __name__ == "__main__":
    main()
