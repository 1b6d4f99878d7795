"""From 96 measured mutants to an order sheet: the three commands of docs/recommend.md, timed, on real measurements.

    OMP_NUM_THREADS=1 python benchmarks/three_commands.py FOLDER --mirror file:///path/to/mirror

96 variants of a scan of the shipped study, drawn with a seed, are written as the spreadsheet that a person has: a CSV,
a FASTA file with the wild type, one with a gene of the host's commonest codons, and the wishes. Then `multimep check`,
`fit` and `recommend` run one after the other as processes of their own; told are their seconds, start-up included, and
what the last one chose. FOLDER must not exist.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import yaml
from peak import peak

from multimep import codons, sources
from multimep.sources import DatasetSpec
from multimep.typed_values import build

STUDY = Path(__file__).parents[1] / "workflow" / "studies" / "dms.yaml"
WISHES = {"host": "e_coli", "rules": {"wells": 96, "controls": {"WT": 4}, "oligo_price": 8, "mutant_price": 12}}


def spreadsheet(folder: Path, name: str, rows: int, mirror: str) -> None:
    """What a person has before the first command."""
    spec = build(DatasetSpec, yaml.safe_load(STUDY.read_text(encoding="utf-8"))["datasets"][name], name)
    data, _ = sources.collect(name, spec, folder / "cache", mirror, Path())
    chosen = np.random.default_rng(0).permutation(len(data))[:rows]
    lines = [f"{data.variants.mutants[row]},{data.fitness[row]:.6g}" for row in chosen]
    (folder / "my_mutants.csv").write_text("\n".join(["mutant,fitness", *lines]) + "\n")
    wild_type = data.variants.wild_type
    (folder / "wild_type.fasta").write_text(f">wild type\n{wild_type}\n")
    (folder / "gene.fasta").write_text(f">gene\n{''.join(codons.best('e_coli', one) for one in wild_type)}\n")
    (folder / "plate.yaml").write_text(yaml.safe_dump(WISHES, sort_keys=False))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--mirror", default="")
    parser.add_argument("--dataset", default="GRB2_HUMAN_Faure_2021")
    parser.add_argument("--method", default="site_gp")
    parser.add_argument("--rows", type=int, default=96)
    args = parser.parse_args()
    folder: Path = args.folder
    folder.mkdir(parents=True)
    spreadsheet(folder, args.dataset, args.rows, args.mirror)
    table, wild_type, predictor = (str(folder / one) for one in ("my_mutants.csv", "wild_type.fasta", "my.safetensors"))
    commands = [
        ["check", table, "--wild-type", wild_type],
        ["fit", table, "--wild-type", wild_type, "--method", args.method, "--output", predictor],
        ["recommend", predictor, "--dna", str(folder / "gene.fasta"), "--settings", str(folder / "plate.yaml")],
    ]
    commands[-1] += ["--output", str(folder / "plate_1")]
    print("| command | seconds | of a core |\n| --- | ---: | ---: |")
    for words in commands:
        found = peak([sys.executable, "-m", "multimep", *words], {})
        print(f"| `multimep {words[0]}` | {found.seconds:.1f} | {found.processor:.1f} |", flush=True)
    print((folder / "plate_1" / "about.json").read_text())
    print(*(folder / "plate_1" / "order.csv").read_text().splitlines()[-3:], sep="\n")


if __name__ == "__main__":
    main()
