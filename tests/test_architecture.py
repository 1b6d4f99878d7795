"""The rules of the house that a machine can check: the import order, what stays light, how long things are."""

import ast
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "workflow" / "multimep"

# A module imports only modules that stand before it.
ORDER = (
    "documents",
    "addresses",
    "paths",
    "typed_values",
    "nesting",
    "job_sizes",
    "tuning_prices",
    "prices",
    "costs",
    "policies",
    "cluster",
    "layout",
    "contradictions",
    "forecast",
    "bench_costs",
    "accounting",
    "charges",
    "units",
    "progress",
    "whole_files",
    "seals",
    "mutations",
    "substitutions",
    "structure",
    "alignment",
    "variants",
    "text_table",
    "dataset",
    "downloads",
    "interruption",
    "simulation",
    "readers.faults",
    "readers.workbook",
    "readers.measurements",
    "readers.reader",
    "readers.table",
    "readers.detection",
    "readers.lineage",
    "readers.coordinates",
    "sources",
    "inspection",
    "first_configuration",
    "splits",
    "families",
    "schemes.scheme",
    "schemes.draws",
    "schemes.random_folds",
    "schemes.sites",
    "schemes.unseen_substitution",
    "schemes.mutation_count",
    "schemes.low_to_high",
    "schemes.low_n",
    "schemes.family_out",
    "schemes.source",
    "schemes",
    "leaks",
    "overlaps",
    "checkpoints",
    "precision",
    "forward_pass",
    "encoder",
    "transfer",
    "language_model",
    "corpus",
    "pretraining",
    "checked_hdf5",
    "embeddings",
    "store_making",
    "embedder",
    "predictions",
    "landscape",
    "gaussian_process",
    "holdout",
    "batched_evidence",
    "inducing_points",
    "ridge",
    "evidence",
    "landscape_making",
    "site_kernel",
    "knowledge",
    "plm_kernel",
    "coregionalisation",
    "combination_kernel",
    "training_run",
    "stacked_run",
    "low_rank",
    "trainable",
    "prefix",
    "model_stack",
    "training",
    "fine_tuning",
    "stacked_training",
    "affine",
    "likelihood",
    "losses",
    "lessons",
    "likelihood_tuning",
    "methods.method",
    "methods.scaling",
    "methods.blocks",
    "methods.features",
    "methods.ridge_state",
    "methods.warping",
    "methods.kernel_predictor",
    "methods.additive",
    "methods.one_hot_ridge",
    "methods.site_gp",
    "methods.saturation",
    "methods.epistasis_gp",
    "methods.combination_gp",
    "methods.exchange_effects",
    "methods.shared_prior_gp",
    "methods.coregional_gp",
    "methods.zero_shot",
    "methods.zero_shot_score",
    "methods.augmented_ridge",
    "methods.plm_gp",
    "methods.embedding_gp",
    "methods.sparse_gp",
    "methods.transmep",
    "methods.fine_tune",
    "methods.fine_tune_together",
    "methods.likelihood_tune",
    "methods.likelihood_tune_together",
    "methods",
    "methods.nested",
    "methods.recalibrated",
    "methods.stack",
    "methods.predictor_file",
    "finished_folds",
    "cross_prediction",
    "controls",
    "candidates",
    "proximity",
    "new_predictions",
    "search",
    "acquisition",
    "campaign",
    "attribution",
    "integrated_gradients",
    "training_importance",
    "explanation",
    "codons",
    "oligos",
    "plate_rules",
    "shortlist",
    "plate_programme",
    "plate_remedies",
    "plate_choice",
    "agreement",
    "calibration",
    "noise_ceiling",
    "metrics",
    "inference",
    "questions",
    "comparisons",
    "verdicts",
    "learning_curves",
    "proteingym",
    "drawing",
    "plate_map",
    "recommendation",
    "whole_folder",
    "plate_files",
    "landscape_map",
    "explanation_files",
    "figures",
    "measures",
    "null_gate",
    "tables",
    "usage_table",
    "portraits",
    "heat_map",
    "portrait_figures",
    "findings",
    "method_panels",
    "curve_panels",
    "campaign_panels",
    "plate_panels",
    "portrait_panels",
    "report",
    "twin",
    "settings",
    "chosen_model",
    "embedding_job",
    "prediction_job",
    "evaluation_job",
    "lanes",
    "packing",
    "cluster_replay",
    "planning",
    "shards",
    "study_report",
    "study_leaks",
    "options",
    "dataset_commands",
    "language_model_commands",
    "cluster_commands",
    "bench_commands",
    "catalogue_commands",
    "cli",
    "__main__",
)
EMPTY = ("", "readers")  # packages whose __init__ imports nothing
FILES = sorted(PACKAGE.rglob("*.py"))


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> Iterator[str]:
    """Modules of multimep that a file imports anywhere, inside functions too."""
    modules = set(map(module_of, FILES))
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[2] for alias in node.names if alias.name.split(".")[0] == "multimep")
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module_of(path)}: write imports in full (from multimep.x import y)"
            if (node.module or "").split(".")[0] == "multimep":
                base = (node.module or "").partition(".")[2]
                for alias in node.names:
                    inner = f"{base}.{alias.name}".strip(".")
                    yield inner if inner in modules else base


def functions() -> Iterator[tuple[str, int]]:
    """Name and length of every function of the package: lines of the body below the docstring."""
    for path in FILES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) is not None else node.body
                length = body[-1].end_lineno - body[0].lineno + 1 if body else 0
                yield f"{module_of(path)}.{node.name}", length


def test_the_order_names_every_module_once_and_no_other():
    assert len(set(ORDER)) == len(ORDER)
    assert set(map(module_of, FILES)) == {*ORDER, *EMPTY}, "put the new module where it belongs in ORDER"


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_a_module_imports_only_modules_that_stand_before_it(path):
    module = module_of(path)
    allowed = {"", *ORDER[: ORDER.index(module)]} if module in ORDER else set()
    assert set(imports(path)) <= allowed


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_the_snakefile_imports_does_not_import_torch():
    rooms = "bench_costs, cluster, contradictions, costs, documents, forecast, layout, prices, seals"
    code = f"from multimep import {rooms}; import sys; print('torch' in sys.modules, 'numpy' in sys.modules)"
    assert run(code) == "False False\n"


def test_scoring_predictions_does_not_import_scipy_s_statistics():  # half of a short job's start
    code = "import sys; from multimep import settings, evaluation_job; print('scipy.stats' in sys.modules)"
    assert run(code) == "False\n"


def test_the_rules_import_nothing_of_multimep_but_its_version_and_its_light_rooms():
    root = PACKAGE.parents[1]
    for path in (root / "Snakefile", *sorted((root / "workflow" / "rules").glob("*.smk"))):
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if "import" in line.split()]
        ours = [line for line in lines if "multimep" in line]
        light = {
            "from multimep import bench_costs, costs, forecast, layout, prices",
            "from multimep import cluster, contradictions, documents, layout, seals",
        }
        assert set(ours) <= {"from multimep import __version__ as VERSION", *light}, path.name


@pytest.mark.parametrize("command", ["dataset", "split", "predict", "evaluate", "report"])
def test_a_command_that_needs_no_language_model_does_not_import_torch(command):
    rooms = {"dataset": "sources", "split": "schemes", "predict": "chosen_model, cross_prediction"}
    code = f"import sys; from multimep import settings, {rooms.get(command, 'metrics, study_report')}"
    names = (
        "additive",
        "one_hot_ridge",
        "augmented_ridge",
        "site_gp",
        "plm_gp",
        "epistasis_gp",
        "combination_gp",
        "shared_prior_gp",
        "coregional_gp",
        "zero_shot",
        "embedding_gp",
        "sparse_gp",
        "transmep",
        "recalibrated",
    )
    methods = f"from multimep.methods import METHODS; [METHODS[name] for name in {names}]"
    assert run(f"{code}; {methods}; print('torch' in sys.modules)") == "False\n"


def test_settings_which_every_command_reads_import_no_scipy():
    assert run("import sys, multimep.settings; print('scipy' in sys.modules)") == "False\n"


def test_help_does_not_import_torch():
    code = """
        import sys
        sys.argv = ["multimep", "--help"]
        from multimep.cli import main
        try:
            main()
        except SystemExit as stop:
            assert not stop.code, stop.code
        print("torch" in sys.modules)
    """
    lines = run("\n".join(line.removeprefix(" " * 8) for line in code.splitlines())).splitlines()
    assert any("Usage" in line for line in lines)
    assert lines[-1] == "False"


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_a_file_has_fewer_than_300_lines(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) < 300


def test_no_function_has_more_than_60_lines():
    assert [found for found in functions() if found[1] > 60] == []


def test_half_of_the_functions_have_at_most_8_lines_and_nine_in_ten_fewer_than_25():
    lengths = [length for _, length in functions()]
    assert statistics.median(lengths) <= 8
    assert sum(length < 25 for length in lengths) >= 0.9 * len(lengths)


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_no_error_is_swallowed(path):
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ExceptHandler):
            caught = ast.unparse(node.type) if node.type else "everything"
            assert caught not in ("everything", "Exception", "BaseException"), f"line {node.lineno} catches {caught}"
            assert not all(isinstance(line, ast.Pass) for line in node.body), f"line {node.lineno} swallows {caught}"


@pytest.mark.parametrize("word", ["utils", "helpers", "core", "manager", "common", "misc"])
def test_no_module_is_a_drawer_for_odds_and_ends(word):
    assert word not in {part for module in ORDER for part in module.split(".")}


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_every_module_says_what_it_is(path):
    assert ast.get_docstring(tree_of(path))
