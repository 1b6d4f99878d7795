"""Input that means harm: names that leave their folder, files that grow, addresses that tell, cells that speak."""

import ast
import gzip
import io
import json
import re
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
import requests
import torch

from fuzz.artefacts import PLAN
from fuzz.tables import SHEET, STRINGS, workbook
from local_server import DIGEST, Server, send
from multimep import checkpoints, cli, contradictions, documents, planning, settings
from multimep.addresses import AddressError, check, public
from multimep.corpus import CorpusError, read_corpus
from multimep.documents import DocumentError
from multimep.downloads import DownloadError, fetch
from multimep.embeddings import FORMAT, StoreError, key, open_store
from multimep.readers.workbook import WorkbookError, rows
from multimep.seals import checksum
from multimep.sources import DatasetSpec, File, Source, collect
from multimep.splits import SplitError
from multimep.splits import read as read_split
from multimep.typed_values import SettingsError
from small_study import study
from test_checkpoints import fair_esm_file, tiny

PACKAGE = Path(__file__).parents[1] / "workflow" / "multimep"
EVIL = ["../evil", "/evil", "a/b", "-rf", ".hidden", "a\0b", "a\n", "a b", "$(id)", "a;b", "ü", "", "x" * 101]
GREAT = 10 * 2**30  # bytes: ten times what is read
Refused = Callable[..., str]


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refused:
    """The line with which a command refuses what it is given."""

    def run(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["multimep", *words])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert stop.value.code == 2
        return capsys.readouterr().err

    return run


# Names


@pytest.mark.parametrize("name", EVIL)
def test_a_name_that_could_leave_its_folder_is_refused_on_the_command_line(
    refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.csv").write_text("mutant,fitness\nM1A,1\n")
    source = ["--variants", "own.csv", "--wild-type", "MKT"]
    for words in (["dataset", *source], ["wild-type", "--spec", "{}"]):
        message = refused(words[0], "--output", "out.csv", *words[1:], "--", name)
        assert message.count("\n") == 1 and "name" in message
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own.csv"]


@pytest.mark.parametrize("kind", ["datasets", "splits", "methods"])
@pytest.mark.parametrize("name", EVIL)
def test_a_name_that_could_leave_its_folder_is_refused_in_the_configuration(
    tmp_path: Path, kind: str, name: str
) -> None:
    config = study(tmp_path)
    first = next(iter(config[kind]))
    config[kind] = {name: {"method": first} if kind == "methods" else config[kind][first]}
    assert any(f"config.{kind}: name" in fault for fault in contradictions.strangers(config))
    with pytest.raises(SettingsError, match="name"):
        settings.study(config)


# Files that grow


def sparse(path: Path) -> Path:
    """A file of ten GiB in one line that takes no room on the disk."""
    with path.open("wb") as stream:
        stream.truncate(GREAT)
    return path


@pytest.mark.parametrize(
    "words",
    [
        ("check", "FILE", "--wild-type", "MKT"),
        ("dataset", "a", "--output", "out.csv", "--variants", "FILE", "--wild-type", "MKT"),
        ("evaluate", "good.csv", "FILE", "--output", "out.csv"),
        ("split", "FILE", "--output", "out.csv"),
        ("leaks", "--config", "FILE", "--output", "out.json"),
    ],
    ids=lambda words: words[0],
)
def test_a_file_of_ten_gibibytes_is_refused_by_its_size_before_it_is_read(
    refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = sparse(tmp_path / "great.csv")
    sparse(tmp_path / "great.json")
    made = tmp_path / "good.csv"
    made.write_text("mutant,fitness,std,replicates\nM1A,1,,1\n")
    record = {"name": "good", "group": "g", "wild_type": "MKT", "higher_is_better": True, "target": "", "unit": "",
              "counts": {}, "depths": {}}  # fmt: skip
    (tmp_path / "good.json").write_text(json.dumps(record))
    message = refused(*(str(path) if word == "FILE" else word for word in words))
    assert "great." in message and str(GREAT) in message and "at most" in message
    assert not (tmp_path / "out.csv").exists()


def test_a_line_of_ten_gigabytes_in_a_packed_file_is_cut_off(tmp_path: Path) -> None:
    part = gzip.compress(b"M" * (1 << 24), mtime=0)
    path = tmp_path / "bomb.fasta.gz"
    path.write_bytes(gzip.compress(b">one\n", mtime=0) + part * 640)
    assert path.stat().st_size < 2**24
    with pytest.raises(CorpusError, match=r"bomb\.fasta\.gz: a line of more than 16777216 letters"):
        read_corpus(path)


def test_a_workbook_whose_part_claims_or_holds_more_than_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("multimep.readers.workbook.LIMIT", 10_000)
    bomb = workbook(SHEET.encode().replace(b"</v>", b" " * 20_000 + b"</v>"), STRINGS.encode())
    with pytest.raises(WorkbookError, match="larger than 10000 bytes"):
        list(rows(bomb))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_workbook_with_entities_is_refused_in_any_encoding(encoding: str) -> None:
    nested = "".join(f'<!ENTITY a{n + 1} "{f"&a{n};" * 10}">' for n in range(9))
    bomb = (
        f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE sst [<!ENTITY a0 "x">{nested}]><sst><si>&a9;</si></sst>'
    )
    with pytest.raises(WorkbookError, match="document type"):
        list(rows(workbook(SHEET.encode(), bomb.encode(encoding))))


@pytest.mark.parametrize("place", ["ZZZ1", "AAAAAAA1", "1", "XFE1"])
def test_a_cell_beyond_the_last_column_of_excel_is_refused(place: str) -> None:
    with pytest.raises(WorkbookError, match=r"too many|no cell"):
        list(rows(workbook(SHEET.replace('"B2"', f'"{place}"').encode(), STRINGS.encode())))


def zipped(path: Path, name: str, content: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return path


def from_zip(path: Path, member: str) -> DatasetSpec:
    file = File(path=str(path), member=member)
    return DatasetSpec(Source(reader="multimep", files={"variants": file}, wild_type="MKT"))


def test_a_member_that_unpacks_beyond_the_limit_is_refused_and_one_of_a_parent_folder_stays_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("multimep.sources.MEMBER_LIMIT", 1000)
    bomb = zipped(tmp_path / "bomb.zip", "a.csv", b"mutant,fitness\n" + b"M1A,1\n" * 1000)
    with pytest.raises(ValueError, match=r"bomb\.zip#a\.csv: encrypted, or larger than 1000 bytes"):
        collect("a", from_zip(bomb, "a.csv"), tmp_path / "cache", None, tmp_path)
    outside = zipped(tmp_path / "outside.zip", "../../evil.csv", b"mutant,fitness\nM1A,1\n")
    found, _ = collect("a", from_zip(outside, "../../evil.csv"), tmp_path / "cache", None, tmp_path)
    assert found.variants.mutants == ("M1A",)
    assert not list(tmp_path.parent.rglob("evil.csv"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "within each other"),
        ("a: " + "{b: " * 5000, "within each other"),
        ("&a [*a]", "within each other"),
        (
            "a0: &a0 [x]\n" + "\n".join(f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 10)}]" for n in range(9)),
            "aliases",
        ),
        ("a: 1\nb: 2\na: 3", "key 'a' stands twice .line 1"),
        ('{"a": 1, "a": 2}', "key 'a' stands twice"),
        ("a: .nan", "not a finite number"),
        ("a: 1" + "0" * 5000, "not YAML"),
        ("a: 2001-99-99", "not YAML"),
        ('a: "\\ud83d"', "half a letter"),
        ("!!python/object/apply:os.system ['true']", "could not determine a constructor"),
    ],
)
def test_a_configuration_that_grows_or_says_one_thing_twice_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=rf"^config\.yaml: .*{message}") as caught:
        settings.parse(text, "config.yaml")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_merged_mappings_may_say_again_what_they_merge() -> None:
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}"
    assert settings.parse(text, "") == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}}


def test_letters_beyond_the_first_plane_survive_the_way_of_a_study_into_a_command() -> None:
    words = {"citation": "Å \U0001f600 漢"}
    assert settings.parse(json.dumps(words), "--spec") == words


def test_a_limit_is_of_bytes_and_told_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(b"x" * 11)
    assert documents.content(path, 11) == b"x" * 11
    with pytest.raises(DocumentError, match=r"table\.csv: has 11 bytes, at most 10 are read; divide it"):
        documents.content(path, 10)


def test_a_table_of_one_endless_cell_is_refused(tmp_path: Path) -> None:
    (tmp_path / "split.csv").write_text("mutant,f\n" + "M" * 200_000 + ",train\n")
    with pytest.raises(SplitError, match="field larger than field limit"):
        read_split(tmp_path / "split.csv")


# Cells that speak


def test_what_a_file_says_reaches_the_terminal_without_its_control_characters(refused: Refused, tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text('mutant,fitness\nM1A,1\nK2A,2\n"M1\x1b]0;owned\x07\x1b[2J\n\u202e",3\n', encoding="utf-8")
    message = refused("check", str(path), "--wild-type", "MKT")
    assert "\\x1b" in message
    assert all(one.isprintable() for one in message if one != "\n")


# Addresses


SECRETS = [
    "https://user:pa55@example.org/one.csv",
    "https://pa55@example.org/one.csv",
    "https://example.org/one.csv?token=pa55",
    "https://example.org/one.csv?a=b&access_token=pa55",
    "https://example.org/one.csv?X-Amz-Signature=pa55",
    "https://example.org/one.csv?api_key=pa55",
    "https://example.org/one.csv#auth=pa55",
]


@pytest.mark.parametrize("url", SECRETS)
def test_an_address_with_a_secret_is_refused_everywhere_and_the_secret_is_not_repeated(
    refused: Refused, tmp_path: Path, url: str
) -> None:
    with pytest.raises(AddressError) as caught:
        check(url)
    assert "pa55" not in str(caught.value) and ".netrc" in str(caught.value)
    source = {"reader": "multimep", "wild_type": "MKT", "files": {"variants": {"url": url, "sha256": DIGEST}}}
    config = study(tmp_path)
    config["datasets"]["alpha"] = {"source": source}
    for faults in (contradictions.strangers(config), contradictions.strangers(study(tmp_path) | {"mirror": url})):
        assert [("pa55" in fault, "password" in fault) for fault in faults] == [(False, True)]
    plain = {"url": "https://example.org/one.csv", "sha256": DIGEST}
    good = {**source, "files": {"variants": plain}}
    for given, more in ((source, ()), (good, ("--mirror", url))):
        words = ("dataset", "a", "--spec", json.dumps({"source": given}), *more)
        message = refused(*words, "--output", str(tmp_path / "out.csv"), "--cache", str(tmp_path / "cache"))
        assert "pa55" not in message and "password" in message
    assert not any(b"pa55" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    "url", ["https://example.org/a.csv?download=1", "https://example.org/monkey.csv?page=2", "file:///a b"]
)
def test_an_ordinary_address_is_no_secret(url: str) -> None:
    check(url)


def test_a_signed_address_that_a_server_redirects_to_is_told_without_its_signature(
    server: Server, tmp_path: Path
) -> None:
    signed = "http://elsewhere.example.org/one.csv?X-Amz-Signature=pa55"
    server.answer = lambda handler, _: send(handler, 302, b"", Location=signed)
    with pytest.raises(DownloadError, match=r"redirected to http://elsewhere.*no https") as caught:
        fetch(f"{server.url}/one.csv", DIGEST, tmp_path)
    assert "pa55" not in str(caught.value)
    assert public(signed) == "http://elsewhere.example.org/one.csv?..."


@pytest.mark.parametrize("location", ["http://127.0.0.1:1/one.csv", "http://example.org/one.csv", "file:///etc/passwd"])
def test_a_redirect_never_leads_from_https_or_from_a_mirror_to_another_plain_host(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, location: str
) -> None:
    asked = []

    def get(address: str, **_: object) -> requests.Response:
        asked.append(address)
        response = requests.Response()
        response.status_code, response.headers["Location"], response.raw = 302, location, io.BytesIO()
        return response

    monkeypatch.setattr(requests, "get", get)
    for mirror in (None, "http://mirror.example.org/m"):
        asked.clear()
        with pytest.raises(DownloadError, match="is redirected to"):
            fetch("https://files.example.org/one.csv", DIGEST, tmp_path, mirror)
        assert len(asked) == 1


def test_a_server_that_never_stops_sending_is_cut_off(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("multimep.downloads.LARGEST", 100_000)
    with pytest.raises(DownloadError, match="sends more than 100000 bytes"):
        fetch(f"{server.url}/one.csv", DIGEST, tmp_path)


@pytest.mark.parametrize("header", ["x", "-5", "1e3"])
def test_a_length_that_is_no_number_does_not_matter_for_the_checksum_decides(
    server: Server, tmp_path: Path, header: str
) -> None:
    def answer(handler, _):
        handler.send_response(200)
        handler.send_header("Content-Length", header)
        handler.end_headers()
        handler.wfile.write(b"short")

    server.answer = answer
    with pytest.raises(DownloadError):
        fetch(f"{server.url}/one.csv", DIGEST, tmp_path, attempts=1)
    assert not (tmp_path / DIGEST).exists()


@pytest.mark.parametrize("url", ["http://[::1", "https://example.org:port/a", "https://[x]/a"])
def test_what_is_no_address_is_refused_in_one_line(url: str) -> None:
    with pytest.raises(AddressError, match="no URL"):
        check(url)
    with pytest.raises(AddressError, match="no URL"):
        File(url=url, sha256=DIGEST)


@pytest.mark.parametrize("url", ["https://user:pa55@host:port/x.csv", "https://[bad/x?token=pa55", "http://pa55@[/x"])
def test_an_address_that_cannot_be_taken_apart_is_told_without_its_secret(url: str) -> None:
    with pytest.raises(AddressError, match="no URL") as caught:
        check(url)
    assert "pa55" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ['a: !!int ""', 'a: !!float ""', "a: !!int '-'", "a: !!set {b}", "a: !!binary Mw==", "a: !!omap [b: 1]"]
)
def test_values_with_a_tag_are_refused_or_plain(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^here: [^\n]+$"):
        settings.parse(text, "here")


# Programs in data


SUSPICIOUS = re.compile(r"eval|exec|pickle|system|yaml|load\(|shell|extract|unpack")


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def test_nothing_in_the_package_executes_what_it_reads() -> None:
    for path in sorted(PACKAGE.rglob("*.py")):
        if not SUSPICIOUS.search(path.read_text(encoding="utf-8")):
            continue  # taking a file apart takes longer
        for name, call in calls(path):
            given = {word.arg: ast.unparse(word.value) for word in call.keywords}
            where = f"{path.name} line {call.lineno}"
            assert name not in ("eval", "exec", "pickle.load", "pickle.loads", "os.system", "yaml.unsafe_load"), where
            assert name != "torch.load" or given.get("weights_only") == "True", where
            assert name not in ("np.load", "numpy.load") or given.get("allow_pickle") == "False", where
            assert name != "yaml.load" or path.name == "documents.py", where
            assert given.get("shell") != "True", where
            assert not name.endswith(("extractall", "unpack_archive")), where


def test_only_the_room_of_checkpoints_knows_of_pickle_and_only_its_error() -> None:
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        assert "pickle." not in text.replace("pickle.UnpicklingError", "") or path.name == "checkpoints.py", path.name


def test_a_store_of_embeddings_takes_no_numbers_from_other_files(tmp_path: Path) -> None:
    made = {"model": "mini", "sha256": "ab" * 32, "layer": 1, "precision": "fp32", "pooling": "mean", "format": FORMAT}
    secret = tmp_path / "secret"
    secret.write_bytes(b"x" * 64)

    def store(pooled: Callable[[h5py.File], object]) -> Path:
        path = tmp_path / "toy.h5"
        with h5py.File(path, "w") as file:
            file.attrs.update(made)
            file["keys"] = np.array([key("MKT")], dtype="S64")
            pooled(file)
        return path

    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["pooled"] = np.ones((1, 4), np.float32)
    assert open_store(store(lambda file: file.create_dataset("pooled", data=np.ones((1, 4), np.float32))))
    for pooled in (
        lambda file: file.create_dataset("pooled", (1, 4), np.float32, external=[(str(secret), 0, 16)]),
        lambda file: file.__setitem__("pooled", h5py.ExternalLink(str(tmp_path / "other.h5"), "pooled")),
        lambda file: file.create_dataset("pooled", (1, 10**12), np.float32, chunks=(1, 1000), compression="gzip"),
        lambda file: file.create_dataset("pooled", (1, 10**12), np.float32),
        lambda file: file.create_group("pooled"),
        lambda file: file.create_dataset("pooled", (2, 4), np.float32),
    ):
        with pytest.raises(StoreError, match=r"toy\.h5 is not a readable embedding store"):
            open_store(store(pooled))


def test_a_checkpoint_whose_members_are_compressed_is_refused_unless_its_hash_is_known(tmp_path: Path) -> None:
    path = fair_esm_file(tiny(), tmp_path / "tiny.pt")
    packed = tmp_path / "packed.pt"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with pytest.raises(checkpoints.CheckpointError, match=r"packed\.pt: refused, its members are compressed"):
        checkpoints.read(packed)
    assert checkpoints.read(path)[1] == checksum(path)
    content = torch.load(path, weights_only=False)
    for field, value in {"encoder_layers": 10**9, "encoder_attention_heads": 0, "token_dropout": "no"}.items():
        old_value = getattr(content["cfg"]["model"], field)
        setattr(content["cfg"]["model"], field, value)
        torch.save(content, path)
        with pytest.raises(checkpoints.CheckpointError, match=r"tiny\.pt"):
            checkpoints.read(path)
        setattr(content["cfg"]["model"], field, old_value)
    name = "encoder.sentence_encoder.layers.0.fc1.bias"
    content["model"][name] = torch.zeros(1).expand(content["model"][name].shape)
    torch.save(content, path)
    with pytest.raises(checkpoints.CheckpointError, match="larger than what is stored"):
        checkpoints.read(path)
    content["model"][name] = torch.full((128,), torch.nan)
    torch.save(content, path)
    with pytest.raises(checkpoints.CheckpointError, match=r"fc1\.bias holds numbers that are not finite"):
        checkpoints.read(path)


def test_a_plan_that_would_write_elsewhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(PLAN))
    assert planning.read(path).units[0].name == "s/m/t"
    for old, new in (
        ("s/m/t", "../../x"),
        ('"predictions/s/m/t.csv"', '"/etc/cron.d/x"'),
        ('"predictions/s/m/t.csv"', '"predictions/../../../s/m/t.csv"'),
        ('"benchmarks/predict/s/m/t.tsv"', '"/home/x/.bashrc"'),
    ):
        path.write_text(json.dumps(PLAN).replace(old, new))
        with pytest.raises(planning.PlanError, match=r"plan\.json: not a plan"):
            planning.read(path)


# A configuration made from a table


def test_a_header_cannot_write_lines_of_its_own_into_the_first_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    attack = 'score \U0001f600\x85\nmirror: "http://evil"\n# '
    cells = attack.replace('"', '""')
    path = tmp_path / "2024.csv"
    path.write_text(f'variant,"{cells}","x\nseed: 7"\nM1A,1,a\nK2A,2,b\nT3A,3,c\n', encoding="utf-8")
    words = ["init", str(path), "--wild-type", "MK T", "--output", "config.yaml"]
    monkeypatch.setattr(sys, "argv", ["multimep", *words])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert not stop.value.code, capsys.readouterr().err
    values = settings.parse((tmp_path / "config.yaml").read_text(encoding="utf-8"), "config.yaml")
    assert (values["study"], values["seed"], list(values["datasets"])) == ("2024", 0, ["2024"])
    assert "mirror" not in values
    source = settings.study(values).datasets["2024"].source
    assert source.wild_type == "MKT" and source.columns.fitness == attack.strip()
    found, _ = collect("2024", settings.study(values).datasets["2024"], tmp_path, None, tmp_path)
    assert found.fitness.tolist() == [1, 2, 3]
