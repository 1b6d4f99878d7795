"""The files that one station leaves to the next: tables and records, as a half-written or edited one would be."""

import json
import math
from dataclasses import asdict
from pathlib import Path

import numpy as np

from fuzz.target import Target, file
from multimep import dataset, finished_folds, leaks, metrics, planning, predictions, proteingym, splits
from multimep.dataset import Record
from multimep.documents import DocumentError
from multimep.finished_folds import FinishedFoldsError
from multimep.leaks import LeakError
from multimep.metrics import MetricsError
from multimep.planning import Plan, PlanError
from multimep.predictions import PredictionsError
from multimep.proteingym import ProteinGymError
from multimep.splits import SplitError
from multimep.typed_values import build
from multimep.variants import DatasetError

RECORD = json.dumps(asdict(Record("toy", "enzyme", "MKTAY", True, "activity", "1/s", {"variants": 2}, {"1": 2})))
ROWS = "mutant,fitness,std,replicates,split_a,covariate_b\nM1A,1.5,0.1,2,train,3\nK2R,-1,,1,test,4\n"
UNIT = {
    "name": "s/m/t",
    "method": "additive",
    "settings": {},
    "tables": ["a.csv"],
    "splits": ["b.csv"],
    "stores": [],
    "outputs": ["predictions/s/m/t.csv"],
    "benchmark": "benchmarks/predict/s/m/t.tsv",
    "seconds": 1.0,
    "memory": 1.0,
    "gpu": False,
}
PLAN = {
    "language_model": "{}",
    "seed": 0,
    "units": [UNIT],
    "solved": {},
    "shards": [{"lanes": [["s/m/t"]], "seconds": 1.0, "gpu": False, "workers": 1}],
}
PLAN["identity"] = build(Plan, PLAN, "plan").identity


def _dataset(content: bytes) -> None:
    rows, _, record = content.partition(b"\0\0")
    file("toy.json", record)
    found = dataset.read(file("toy.csv", rows))
    assert np.isfinite(found.fitness).all() and (found.replicates >= 1).all()
    assert not (found.std < 0).any() and not np.isinf(found.std).any()
    kept = file("again.csv", b"")
    dataset.write(found, dataset.read_record(Path(str(kept)).with_name("toy.csv")), kept)
    again = dataset.read(kept)
    assert again.variants == found.variants and np.array_equal(again.fitness, found.fitness)
    assert again.splits == found.splits and json.dumps(asdict(dataset.read_record(kept))).encode()


def _split(content: bytes) -> None:
    found = splits.read(file("split.csv", content))
    kept = file("again.csv", b"")
    splits.write(found, kept)
    assert splits.read(kept) == found


def _predictions(content: bytes) -> None:
    found = predictions.read(file("predictions.csv", content))
    assert all(np.isfinite(part.mean).all() and not (part.std <= 0).any() for part in found.values())
    assert all(not np.isinf(column).any() for part in found.values() for column in (part.std, part.noisy_std))
    kept = file("again.csv", b"")
    predictions.write(list(found.items()), kept)
    assert list(predictions.read(kept)) == list(found)


def _metrics(content: bytes) -> None:
    found = metrics.read(file("metrics.csv", content))
    assert list(found["value"].map(type).unique()) in ([], [float])


def _leaks(content: bytes) -> None:
    found = leaks.read(file("leaks.json", content))
    assert all(one.severity in leaks.SEVERITIES for one in leaks.ordered(found))


def _plan(content: bytes) -> None:
    found = planning.read(file("plan.json", content))
    assert len(found.identity) == 12
    assert all(name in found.unit for shard in found.shards for lane in shard.lanes for name in lane)
    for unit in found.units:
        assert all(".." not in part.split("/") for part in (unit.name, unit.benchmark, *unit.outputs))
        assert math.isfinite(unit.seconds) and not unit.name.startswith("/")


def _folds(content: bytes) -> None:
    for part in finished_folds.take_back(file("fold.json", content)):
        assert np.isfinite(part.mean).all()


def _wild_type(content: bytes) -> None:
    name, wild_type = dataset.read_wild_type(file("wild.json", content))
    assert name.encode() and set(wild_type) <= set("ACDEFGHIKLMNPQRSTVWY")


def _scores(content: bytes) -> None:
    found = proteingym.read_scores([file("scores_fold_random_5.csv", content)])
    assert found.values.shape == (len(found.schemes), len(found.assays), len(found.models))


DOORS = {
    "d": _dataset,
    "s": _split,
    "p": _predictions,
    "m": _metrics,
    "l": _leaks,
    "P": _plan,
    "f": _folds,
    "w": _wild_type,
    "g": _scores,
}


def read(data: bytes) -> None:
    """The first letter says which door the rest is given to."""
    DOORS.get(data[:1].decode("latin-1"), _dataset)(data[1:])


TARGET = Target(
    "artefacts",
    read,
    (
        DatasetError,
        SplitError,
        PredictionsError,
        MetricsError,
        LeakError,
        PlanError,
        FinishedFoldsError,
        ProteinGymError,
        DocumentError,
    ),
    (
        f"d{ROWS}\0\0{RECORD}".encode(),
        f"d{ROWS}\0\0{RECORD.replace('[]', '[1]')}".encode(),
        b"smutant,f,g\nM1A,train,\nM1C,test,train\nM1D,,test\n",
        b"smutant,f,f\nM1A,train,test\n",
        b"smutant,f\nM1A,train,x\n",
        b"pfold,mutant,mean,std,noisy_std\nf,M1A,1,0.5,1\nf,M1C,2,1,2\n",
        b"pfold,mutant,mean,std,noisy_std\nf,M1A,1,inf,1\n",
        b"mdataset,split,method,fold,aggregation,metric,value,low,high,n\na,b,c,d,fold,rmse,1,,2,3\n",
        b'l{"record": {}, "findings": [{"check": "a", "subject": "b", "severity": "leak", "sentence": "c"}]}',
        b"l[]",
        b"P" + json.dumps(PLAN).encode(),
        b"P" + json.dumps(PLAN).replace("s/m/t", "../../x").encode(),
        b'f[{"mutants": ["M1A"], "mean": [1.0], "std": [NaN], "noisy_std": [NaN]}]',
        b"f" + b"[" * 5000,
        b'w{"name": "a", "wild_type": "MKT"}',
        b"gDMS_id,model\na,0.5\nb,\n",
    ),
    (
        b"train",
        b"test",
        b"nan",
        b"inf",
        b"1_0",
        b'"',
        b"\\ud83d",
        b"null",
        b"true",
        b"[]",
        b"{}",
        b"-1",
        b"1e999",
        b"../",
        b"variants",
    ),
    (
        "multimep.dataset",
        "multimep.variants",
        "multimep.splits",
        "multimep.predictions",
        "multimep.metrics",
        "multimep.leaks",
        "multimep.planning",
        "multimep.finished_folds",
        "multimep.proteingym",
        "multimep.documents",
        "multimep.structure",
    ),
)
