"""The questions that a study answers: which method is held against which, on which split, and what that would mean."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from multimep import nesting

LowN = Literal["last", "first", "only"]
MARGIN = 0.02


class QuestionError(ValueError):
    """A question that has no meaning; the message says why."""


@dataclass(frozen=True)
class Question:
    """Two methods of a study, held against each other.

    Attributes:
        method: label of the method that is asked about.
        baseline: label of what it is held against.
        split: where; if not given, the first split in which both were asked, in the order that low_n says.
        question: in words, for the report; "Is METHOD better than BASELINE?" if not given.
        low_n: without a split, whether those of several training sizes come `last` (the default: all of a dataset says
            most of a method), `first`, or are the `only` ones.
        transfer: the difference is what a protein gains from others: the report also shows it by type of protein.
        rivals: labels of which the best, by its mean on the split, takes the place of `baseline`. Chosen by the very
            measurements that it is compared on, it looks better than it is: what beats it beats it in spite of that.
    """

    method: str
    baseline: str
    split: str = ""
    question: str = ""
    low_n: LowN = "last"
    transfer: bool = False
    rivals: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a method held against itself."""
        if self.method in (self.baseline, *self.rivals):
            raise QuestionError(f"{self.method} is held against itself; name another baseline")

    @property
    def text(self) -> str:
        """The question in words."""
        return self.question or f"Is {self.method} better than {self.baseline}?"


@dataclass(frozen=True)
class Arm:
    """A method as a standard question means it, whatever label it has in a study.

    Attributes:
        name: its entry in METHODS.
        settings: those that make it this arm; all others may have any value.
        label: under which it is looked for first; the name if not given.
    """

    name: str
    settings: Mapping[str, object] = field(default_factory=dict)
    label: str = ""

    @property
    def usual(self) -> str:
        """The label that it is given in the studies of this project."""
        return self.label or self.name

    def found(self, methods: Mapping[str, tuple[str, Mapping[str, object]]]) -> str:
        """Its label among a study's methods (label -> entry, all settings); empty where the study lacks it."""
        fitting = [label for label, (name, given) in methods.items() if name == self.name and self._fits(given)]
        return self.usual if self.usual in fitting else next(iter(fitting), "")

    def _fits(self, given: Mapping[str, object]) -> bool:
        return all(given.get(name) == value for name, value in self.settings.items())


@dataclass(frozen=True)
class Standard:
    """A question that every study is asked which has its methods."""

    text: str
    method: Arm
    baseline: Arm
    low_n: LowN = "last"
    transfer: bool = False

    def of(self, method: str, baseline: str) -> Question:
        """The question about these labels."""
        return Question(method, baseline, "", self.text, self.low_n, self.transfer)


STACK, MEMBERS = "stack", nesting.KEY
FINE_TUNE = Arm("fine_tune")
TOGETHER = Arm("fine_tune_together", {"scope": "all"})
BY_GROUP = Arm("fine_tune_together", {"scope": "group"}, "fine_tune_by_group")
SITE_GP = Arm("site_gp", {"expectation": True})
UNTOLD = Arm("site_gp", {"expectation": False, "prior": "weak"}, "site_gp_untold")
TUNED = Arm("site_gp", {"expectation": False, "prior": "tuned"}, "site_gp_tuned")

STANDARD = (
    Standard("Does one multitask model of all proteins beat a model per protein?", TOGETHER, FINE_TUNE, transfer=True),
    Standard(
        "Does one multitask model per protein type beat a model per protein?", BY_GROUP, FINE_TUNE, transfer=True
    ),
    Standard(
        "Does a Gaussian process on embeddings beat fine-tuning on small subsamples?",
        Arm("embedding_gp"), FINE_TUNE, low_n="only",
    ),
    Standard(
        "Does a prior learned on other protein families beat one that has not seen them?",
        Arm("shared_prior_gp"), UNTOLD, low_n="first", transfer=True,
    ),
    Standard(
        "Does a prior learned on other protein families beat a tuned one that is the same for all proteins?",
        Arm("shared_prior_gp"), TUNED, low_n="first", transfer=True,
    ),
    Standard("Does the language model help a Gaussian process over mutations?", Arm("plm_gp"), SITE_GP),
    Standard(
        "Does the language model's zero-shot score help a ridge regression?",
        Arm("augmented_ridge"), Arm("one_hot_ridge"),
    ),
    Standard(
        "Does fine-tuning the likelihood beat fine-tuning a fresh head?",
        Arm("likelihood_tune"), FINE_TUNE, low_n="first",
    ),
    Standard(
        "Does tuning the likelihood for all proteins at once beat tuning it for each?",
        Arm("likelihood_tune_together"), Arm("likelihood_tune"), low_n="first", transfer=True,
    ),
)  # fmt: skip
"""The three comparisons of the study that multimep goes back to, and those that its other methods stand or fall by."""


def standard(methods: Mapping[str, tuple[str, Mapping[str, object]]]) -> tuple[Question, ...]:
    """The standard questions about a study's methods (label -> entry of METHODS, all settings), where it has both."""
    labels = [(one, one.method.found(methods), one.baseline.found(methods)) for one in STANDARD]
    asked = [one.of(method, baseline) for one, method, baseline in labels if method and baseline]
    return (*asked, *_stacks(methods))


def _stacks(methods: Mapping[str, tuple[str, Mapping[str, object]]]) -> Iterator[Question]:
    """Every stack against the best of its members, as far as these are methods of the study under the same label."""
    for label, (name, settings) in methods.items():
        inside = settings.get(MEMBERS) if name == STACK else None
        members = tuple(str(one) for one in inside if one in methods) if isinstance(inside, Mapping) else ()
        if members:
            yield Question(label, members[0], question=f"Is {label} better than its best member?", rivals=members)


def by_usual_labels(labels: Sequence[str]) -> tuple[Question, ...]:
    """The standard questions among labels of which no more is known: each arm is taken to have its usual label."""
    usual = {arm.usual: (arm.name, arm.settings) for one in STANDARD for arm in (one.method, one.baseline)}
    return standard({label: usual[label] for label in labels if label in usual})
