"""The door: the bench route without Snakemake, and what a stranger gets wrong: one clear line, status 2, no file."""

import dataclasses
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import multimep
from conftest import WILD_TYPE, additive_landscape
from multimep import cli, dataset, predictions, splits
from multimep.methods import METHODS
from multimep.schemes import SCHEMES

HEADER = "mutant,fitness\n"
OUT = "--output out/file.csv"
DATASET = f"dataset mine --wild-type {WILD_TYPE} {OUT} --variants"
CROSS = f"cross-predict additive --dataset d/mine.csv {OUT}"
GB1 = "{source: {reader: simulation, options: {protein: gb1, variants: 30}}}"
MINE = f"dataset mine --wild-type {WILD_TYPE} --variants my.csv"
PREDICTIONS = "p/random/additive/mine.csv"
COMMANDS = ["dataset", "embed", "split", "cross-predict", "fit", "predict", "evaluate", "report", "pretrain", "methods"]


@dataclass(frozen=True)
class Done:
    status: int
    out: str
    err: str


Run = Callable[[str], Done]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def command(line: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["multimep", *split_words(line)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        shown = capsys.readouterr()
        return Done(int(stop.value.code or 0), shown.out, shown.err)

    return command


def split_words(line: str) -> list[str]:
    """The words of a command line; what stands in braces or quotes is one word."""
    return [word.strip("'") for word in re.findall(r"\{.*\}|'[^']*'|\S+", line)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the bench route was walked once."""
    folder = tmp_path_factory.mktemp("bench")
    landscape = additive_landscape("mine", noise=0.01)
    rows = zip(landscape.variants.mutants, landscape.fitness, strict=True)
    (folder / "my.csv").write_text(HEADER + "".join(f"{mutant},{value:.6f}\n" for mutant, value in rows))
    for line in (
        f"dataset mine --variants my.csv --wild-type {WILD_TYPE} --output d/mine.csv",
        "split d/mine.csv --settings {scheme: random, folds: 3} --output s/random/mine.csv",
        "split d/mine.csv --output s/mine.csv",
        f"cross-predict additive --dataset d/mine.csv --split s/random/mine.csv --output {PREDICTIONS}",
        f"evaluate d/mine.csv {PREDICTIONS} --split s/random/mine.csv --settings {{bootstrap: 20}}"
        " --output metrics/mine.csv",
        "fit d/mine.csv --method additive --output m/mine.safetensors",
        "predict m/mine.safetensors --output new.csv",
        f"dataset other --spec {GB1} --output d/other.csv",
        "split d/other.csv --output s/random/other.csv",
        "embed d/other.csv --output e/other.h5",
        f"wild-type another --spec {GB1} --output w/another.json",
        "split d/mine.csv --settings {scheme: family_out, sizes: [5]} --kin d/other.json --kin w/another.json"
        " --output s/out/mine.csv",
    ):
        call(line, folder)
    return folder


def call(line: str, folder: Path) -> None:
    words = split_words(line)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["multimep", *words])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert not stop.value.code, line


def test_the_dataset_has_what_the_table_of_the_bench_had(made):
    found, table = dataset.read(made / "d/mine.csv"), pd.read_csv(made / "my.csv")
    assert dict(zip(found.variants.mutants, found.fitness, strict=True)) == dict(table.itertuples(index=False))
    assert (found.name, found.wild_type) == ("mine", WILD_TYPE)


def test_every_variant_is_asked_once_and_an_additive_landscape_is_predicted(made):
    measured, folds = dataset.read(made / "d/mine.csv"), predictions.read(made / PREDICTIONS)
    asked = {fold.name: fold.test for fold in splits.read(made / "s/random/mine.csv").folds}
    assert {name: part.mutants for name, part in folds.items()} == asked
    assert sorted(mutant for part in folds.values() for mutant in part.mutants) == sorted(measured.variants.mutants)
    for part in folds.values():
        assert np.corrcoef(part.mean, measured.select(part.mutants).fitness)[0, 1] > 0.99


def test_a_split_that_leaves_a_family_out_reads_the_wild_types_of_the_others(made):
    folds = splits.read(made / "s/out/mine.csv").folds
    assert [fold.name for fold in folds] == ["mine/n5_seed0", "mine/n5_seed1", "another", "other"]
    assert folds[2].train == splits.read(made / "s/out/mine.csv").mutants


def test_the_metrics_name_split_and_method_after_the_folders_and_agree_with_a_slow_oracle(made):
    table = pd.read_csv(made / "metrics/mine.csv")
    assert set(zip(table["dataset"], table["split"], table["method"], strict=True)) == {("mine", "random", "additive")}
    measured = dataset.read(made / "d/mine.csv")
    for name, part in predictions.read(made / PREDICTIONS).items():
        y = measured.select(part.mutants).fitness
        found = table[(table["fold"] == name) & (table["metric"] == "rmse")]["value"].item()
        assert found == pytest.approx(np.sqrt(np.mean((y - part.mean) ** 2)), rel=1e-6)
        taught = next(fold.train for fold in splits.read(made / "s/random/mine.csv").folds if fold.name == name)
        standardised = table[(table["fold"] == name) & (table["metric"] == "mse_standardised")]["value"].item()
        assert standardised == pytest.approx(found**2 / np.var(measured.select(taught).fitness, ddof=1), rel=1e-6)


def test_without_a_list_all_single_mutants_are_predicted(made):
    found = predictions.read(made / "new.csv")["new"]
    assert len(found) == 19 * len(WILD_TYPE)


def test_new_variants_of_a_table_are_predicted_in_its_order(made, run, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    mutants = dataset.read(made / "d/mine.csv").variants.mutants[:2]
    Path("ask.csv").write_text('mutant\n"{}"\n{}\n'.format(mutants[1].replace(":", ","), mutants[0]))
    assert run(f"predict {made}/m/mine.safetensors --variants ask.csv --output new.csv").status == 0
    assert predictions.read(Path("new.csv"))["new"].mutants == (mutants[1], mutants[0])


BAD_TABLES = {
    "no such file": ("x/none.csv", None, ["none.csv", "no such file"]),
    "wrong reference": ("x/t.csv", HEADER + "A1V,1\nM1A,1\nK9A,1\n",
        ["t.csv line 2", "A1V: the wild type has M at position 1", "t.csv line 4", "state `offset`"]),
    "out of range": ("x/t.csv", HEADER + "M99A,1\n", ["t.csv line 2", "position outside the wild type (1 to 18)"]),
    "foreign separator": ("x/t.csv", HEADER + "M1A;K2A,1\n", ["t.csv line 2", "separate mutations by ':', '+' or ','"]),
    "one site twice": ("x/t.csv", HEADER + "M1A:M1C,1\n", ["t.csv line 2", "two mutations at site 1"]),
    "no number": ("x/t.csv", HEADER + "M1A,nan\nK2A,\nT3D,inf\nA4C,high\n",
        ["4 faults", "line 2: fitness is 'nan'", "line 3: fitness is empty", "line 4", "line 5: fitness is 'high'"]),
    "empty": ("x/t.csv", "", ["t.csv: the file is empty"]),
    "only a header": ("x/t.csv", HEADER, ["t.csv: no rows below the header"]),
    "header twice": ("x/t.csv", "mutant,fitness,fitness\nM1A,1,2\n", ["t.csv line 1", "'fitness' stands twice"]),
    "no such column": ("x/t.csv", "variant,fitness\nM1A,1\n", ["t.csv line 1", "no column 'mutant'"]),
    "encoding": ("x/t.csv", HEADER.encode() + b"M1A,1\n\xe9,2\n", ["t.csv line 3", "save the file as UTF-8"]),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_TABLES)
def test_a_table_with_faults_is_refused_whole(case, run, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    path, content, fragments = BAD_TABLES[case]
    Path("x").mkdir()
    if content is not None:
        Path(path).write_bytes(content if isinstance(content, bytes) else content.encode())
    assert_refused(run(f"{DATASET} {path}"), fragments)
    assert not Path("out").exists()


BAD_COMMANDS = {
    # where the data come from, and where results go
    "no source": (f"dataset mine {OUT}", ["--variants FILE.csv with --wild-type"]),
    "misspelt source": (f"dataset mine --spec {{souce: 1}} {OUT}", ["unknown key 'souce'", "source"]),
    "no wild type": (f"dataset mine --variants my.csv {OUT}", ["--wild-type"]),
    "wild type alone": (f"dataset mine --wild-type MKT {OUT}", ["--variants"]),
    "unknown letter": (f"dataset mine --variants my.csv --wild-type MKTX {OUT}", ["'X' at position 4"]),
    "record's name": (f"{MINE} --output out.json", ["end the table in .csv"]),
    "overwritten": (f"{MINE} --output my.csv", ["my.csv: --output would"]),
    "a folder": ("split d/mine.csv --output d", ["d: is a folder"]),
    "below a file": ("split d/mine.csv --output my.csv/s.csv", ["my.csv is a file, not a folder"]),
    # datasets
    "no dataset": (f"split none.csv {OUT}", ["none.csv: no such file"]),
    "raw table": (f"split my.csv {OUT}", ["my.csv: its record my.json is not beside it", "multimep dataset"]),
    "cut dataset": (f"split bad/cut.csv {OUT}", ["bad/cut.csv: 9 variants, its record says 60"]),
    "edited dataset": (f"split bad/edited.csv {OUT}", ["bad/edited.csv line 2: fitness is 'high'"]),
    "column gone": (f"split bad/column.csv {OUT}", ["bad/column.csv: no column fitness, std, replicates"]),
    "empty dataset": (f"split bad/empty.csv {OUT}", ["bad/empty.csv: no table that multimep wrote"]),
    "bad record": (f"split bad/record.csv {OUT}", ["bad/record.json: no record of a dataset"]),
    # settings
    "not YAML": (f"split d/mine.csv --settings {{a: [}} {OUT}", ["--settings: not YAML or JSON"]),
    "a word": (f"split d/mine.csv --settings random {OUT}", ["--settings: expected names with values", "'random'"]),
    "no scheme": (f"split d/mine.csv --settings {{folds: 3}} {OUT}", ["--settings: says no scheme", "low_n"]),
    "unknown scheme": (f"split d/mine.csv --settings {{scheme: x}} {OUT}", ["no split scheme 'x'", "contiguous"]),
    "unknown setting": (f"split d/mine.csv --settings {{scheme: random, fold: 3}} {OUT}", ["'fold'", "known: folds"]),
    "unknown method": (f"fit d/mine.csv --method magic {OUT}", ["no method 'magic'", "embedding_gp"]),
    "wrong type": (f"split d/mine.csv --settings {{scheme: random, folds: many}} {OUT}", ["--settings.folds"]),
    "empty batch": (f"embed d/mine.csv --language-model {{batch_size: 0}} {OUT}", ["batch_size is 0"]),
    # language models and stores
    "no checkpoint": (f"embed d/mine.csv --language-model none.pt {OUT}", ["none.pt: no such checkpoint"]),
    "unknown model": (f"embed d/mine.csv --language-model big {OUT}", ["'big'", "mini"]),
    "unknown device": (f"embed d/mine.csv --language-model {{device: gpu}} {OUT}", ["no device 'gpu'"]),
    "no model inside": (f"embed d/mine.csv --language-model bad/text.pt {OUT}", ["bad/text.pt: refused"]),
    "cut store": (f"{CROSS} --split s/random/mine.csv --store bad/cut.h5", ["bad/cut.h5 is not a readable embedding"]),
    "another's store": (f"{CROSS} --split s/random/mine.csv --store e/other.h5 --language-model esm2_t6_8M_UR50D",
        ["e/other.h5 was made by mini", "esm2_t6_8M_UR50D"]),
    # splits
    "another's split": (f"{CROSS} --split s/random/other.csv", ["mine: its split is of other variants"]),
    "cut split": (f"{CROSS} --split bad/split.csv", ["mine: its split is of other variants", "multimep split"]),
    "no split": (f"{CROSS} --split my.csv", ["my.csv: 'fitness' must say 'train', 'test' or nothing"]),
    "empty split": (f"{CROSS} --split bad/empty.csv", ["bad/empty.csv: no table that multimep wrote"]),
    "one split short": (f"{CROSS} --split s/random/mine.csv --dataset d/other.csv", ["2 --dataset, 1 --split"]),
    "a dataset twice": (f"{CROSS} --dataset d/mine.csv --output out/b.csv --split s/random/mine.csv "
        "--split s/random/mine.csv", ["a dataset is given twice"]),
    "an output twice": (f"{CROSS} --dataset d/other.csv {OUT} --split s/random/mine.csv --split s/random/other.csv",
        ["given as --output twice"]),
    # predictors and predictions
    "no predictor": (f"predict my.csv {OUT}", ["my.csv is not a predictor file", "multimep fit"]),
    "cut predictor": (f"predict bad/cut.safetensors {OUT}", ["bad/cut.safetensors is not a predictor file"]),
    "another protein": (f"predict m/mine.safetensors --dataset x {OUT}", ["knows mine and not 'x'"]),
    "wrong new variants": (f"predict m/mine.safetensors --variants bad/ask.csv {OUT}",
        ["bad/ask.csv line 2: A1V", "bad/ask.csv line 4"]),
    "no predictions": (f"evaluate d/mine.csv my.csv {OUT}", ["my.csv: no column fold"]),
    "new predictions": (f"evaluate d/mine.csv new.csv {OUT}", ["new.csv: 342 predicted variants are not measured in"]),
    "another's predictions": (f"evaluate d/other.csv {PREDICTIONS} {OUT}", [PREDICTIONS, "not measured in other"]),
    "predictions twice": (f"evaluate d/mine.csv {PREDICTIONS} {PREDICTIONS} {OUT}", ["same split and method"]),
    "predictions of another split": (f"evaluate d/mine.csv {PREDICTIONS} --split s/mine.csv {OUT}",
        ["predictions of split 'random' have no --split among s", ".../random/DATASET.csv"]),
    "bootstrap": (f"evaluate d/mine.csv {PREDICTIONS} --settings {{bootstrap: -1}} {OUT}", ["bootstrap is -1"]),
    # report and pre-training
    "no config": (f"report {OUT}", ["config.yaml: no such file"]),
    "unknown key": (f"report --config {{a: 1}} {OUT}", ["unknown key 'a'", "datasets"]),
    "config's encoding": (f"report --config bad/latin.yaml {OUT}", ["bad/latin.yaml: not UTF-8"]),
    "no results": (f"report --config bad/study.yaml --results none {OUT}", ["none/datasets/mine.csv: no such file"]),
    "no FASTA": ("pretrain --train my.csv --valid my.csv --output out", ["my.csv: no FASTA file"]),
}  # fmt: skip


@pytest.fixture(scope="module")
def damaged(made: Path) -> Path:
    """The same folder with files that went wrong on the way, in `bad`."""
    bad, table = made / "bad", (made / "d/mine.csv").read_text().splitlines(keepends=True)
    bad.mkdir()
    contents = {
        "cut": "".join(table[:10]),
        "edited": "".join([table[0], re.sub(r",[^,]*", ",high", table[1], count=1), *table[2:]]),
        "column": "mutant\nM1A\n",
        "empty": "",
        "record": "".join(table),
    }
    for name, text in contents.items():
        (bad / f"{name}.csv").write_text(text)
        (bad / f"{name}.json").write_bytes((made / "d/mine.json").read_bytes())
    (bad / "record.json").write_text('{"a": 1')
    (bad / "split.csv").write_text("".join((made / "s/random/mine.csv").read_text().splitlines(keepends=True)[:30]))
    (bad / "text.pt").write_text("no checkpoint")
    (bad / "cut.h5").write_bytes((made / "e/other.h5").read_bytes()[:5000])
    (bad / "cut.safetensors").write_bytes((made / "m/mine.safetensors").read_bytes()[:900])
    (bad / "ask.csv").write_text("mutant\nA1V\nM1A\nM1A;K2A\n")
    (bad / "latin.yaml").write_bytes(b"study: \xe9\n")
    (bad / "study.yaml").write_text(
        "{study: s, datasets: {mine: {source: {reader: simulation, options: {protein: gb1}}}},"
        " splits: {random: {scheme: random}}, methods: {additive: {}}}"
    )
    return made


@pytest.mark.parametrize("case", BAD_COMMANDS)
def test_what_cannot_be_done_is_said_in_one_line_and_nothing_is_written(case, damaged, run, monkeypatch):
    monkeypatch.chdir(damaged)
    before = {path: path.read_bytes() for path in damaged.rglob("*") if path.is_file()}
    line, fragments = BAD_COMMANDS[case]
    assert_refused(run(line), fragments)
    assert {path: path.read_bytes() for path in damaged.rglob("*") if path.is_file()} == before
    assert not (damaged / "out").exists()


def assert_refused(done: Done, fragments: list[str]) -> None:
    """Status 2; one line on stderr, with one more for each bad row."""
    first, *others = done.err.splitlines()
    assert done.status == 2
    assert first.startswith("multimep: ")
    assert all(line.startswith("  ") for line in others), done.err
    assert "Traceback" not in done.err
    assert done.out == ""
    for fragment in fragments:
        assert fragment in done.err


def test_a_folder_that_is_not_writable_is_refused_before_any_work(run, monkeypatch, made, tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    if (folder / "probe").exists() or _can_write(folder):
        pytest.skip("this user may write everywhere (root)")
    monkeypatch.chdir(made)
    assert_refused(run(f"split d/mine.csv --output {folder}/s.csv"), ["is not writable"])


def _can_write(folder: Path) -> bool:
    try:
        (folder / "probe").touch()
    except PermissionError:
        return False
    (folder / "probe").unlink()
    return True


def test_an_error_that_is_no_fault_of_the_input_keeps_its_traceback(run, made, monkeypatch):
    def broken(*_: object) -> None:
        raise ValueError("a bug")

    monkeypatch.chdir(made)
    monkeypatch.setattr(splits, "write", broken)
    monkeypatch.setattr(sys, "argv", ["multimep", "split", "d/mine.csv", "--output", "out/s.csv"])
    with pytest.raises(ValueError, match="a bug"):
        cli.main()


@pytest.mark.parametrize("line", ["splt", "split", "split --seed many x.csv --output y.csv", "split --sed 1"])
def test_wrong_usage_ends_with_status_2(line, run):
    done = run(line)
    assert done.status == 2
    assert "Error" in done.err


def test_the_version_is_the_package_s(run):
    assert run("--version") == Done(0, f"multimep {multimep.__version__}\n", "")


def test_methods_lists_every_method_with_what_it_is(run):
    lines = run("methods").out.splitlines()
    assert [line.split()[0] for line in lines] == list(METHODS)
    assert all(len(line.split()) > 3 for line in lines)


def test_a_method_and_a_scheme_are_listed_with_every_setting_its_default_and_its_reason(run):
    told = run("methods transmep").out
    for setting in dataclasses.fields(METHODS["transmep"]):
        assert re.search(rf"^{setting.name}: {re.escape(json.dumps(setting.default))}\n    \S", told, re.MULTILINE)
    assert [line.split()[0] for line in run("schemes").out.splitlines()] == list(SCHEMES)
    assert "\nsizes: [24, 96]\n" in run("schemes low_n").out
    assert run("methods magic") == Done(2, "", f"multimep: no method 'magic'; choose from {', '.join(METHODS)}\n")


def test_a_table_with_columns_of_other_names_is_read_where_the_spec_names_them(run, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text("variant,score\nM1A,1\nK2A,2\n")
    line = "dataset mine --variants t.csv --wild-type MKT --output d.csv --spec "
    columns = "{source: {columns: {mutant: variant, fitness: score}}}"
    assert run(f"{line}{columns}").status == 0
    assert dataset.read(Path("d.csv")).variants.mutants == ("M1A", "K2A")
    assert "--variants FILE.csv with --wild-type" in run(f"{line}{{source: {{wild_type: MKT}}}}").err


@pytest.mark.parametrize("rate", [None, 2.4e14])
def test_the_hours_of_a_big_embedding_are_told_without_its_checkpoint(run, rate):
    more = f" --rate {rate:.0f}" if rate else ""
    told = run(f"embedding-cost --sequences 2500000 --length 300 --proteins 217{more}").out
    assert "2,500,000 sequences of 300 residues, 651,043,254 parameters" in told
    hours = float(re.search(r"([0-9.]+) GPU-hours at", told)[1])
    assert hours == pytest.approx((2_500_000 + 217 * 300) * 302 * 1.353e9 / (rate or 1.2e14) / 3600, rel=0.01)
    assert "12.8 GB in float32, 6.4 GB in float16" in told


def test_the_hours_of_a_small_embedding_are_told_of_a_model_at_hand(run):
    told = run("embedding-cost --sequences 1000 --length 100 --language-model mini").out
    assert "1,000 sequences of 100 residues" in told
    assert "0.00 GPU-hours" in told


DEFAULTS = {
    "dataset": ["results/cache", "{}"],
    "embed": ["mini", "results/cache"],
    "split": ["{scheme: random}", "0"],
    "cross-predict": ["{}", "mini", "0", "results/cache"],
    "fit": ["embedding_gp", "mini", "0"],
    "predict": ["results/cache"],
    "evaluate": ["{}", "0"],
    "report": ["config.yaml", "results"],
    "pretrain": ["{}"],
}


@pytest.mark.parametrize("command", DEFAULTS)
def test_help_shows_the_defaults(command, run):
    done = run(f"{command} --help")
    assert done.status == 0
    for default in DEFAULTS[command]:
        assert re.search(rf"default: {re.escape(default)}(; x>=0)?\]", " ".join(done.out.split()))


def test_help_names_every_command_and_says_what_it_does_to_the_last_word(run):
    shown = " ".join(run("--help").out.split())
    assert all(re.search(rf"\b{command}\b", shown) for command in COMMANDS)
    assert " ".join(cli.evaluate.__doc__.split()) in shown


def test_help_stays_quick_for_it_imports_no_heavy_library():
    code = """
import sys
from multimep.cli import main
sys.argv = ["multimep", "--help"]
try:
    main()
except SystemExit as stop:
    assert not stop.code
print([name for name in ("torch", "pandas", "numpy", "esm", "scipy", "pydantic", "rich") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_a_refusal_in_a_true_process_is_one_line_and_status_2(tmp_path):
    code = "from multimep.cli import main; main()"
    words = ["split", "none.csv", "--output", "s.csv"]
    done = subprocess.run(
        [sys.executable, "-c", code, *words], check=False, capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 2
    assert done.stderr == f"multimep: none.csv: no such file; correct the path (it starts from {tmp_path})\n"
    assert list(tmp_path.iterdir()) == []
