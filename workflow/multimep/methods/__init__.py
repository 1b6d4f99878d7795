"""METHODS, the one table: name in config.yaml -> the frozen dataclass that holds its settings and fits."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module

from multimep.methods.method import FitError, Joint, JointPredictor, Method, Predictor, State


@dataclass(frozen=True)
class Table(Mapping[str, type[Method]]):
    """Imports a method's room when the method is looked up: only fine-tuning needs torch, 1.5 s of every job's time.

    Attributes:
        classes: name of a method, which is that of its module too -> name of its class.
    """

    classes: Mapping[str, str]

    def __getitem__(self, name: str) -> type[Method]:
        """The class of that name; raises KeyError for a method that is not in the table."""
        word = self.classes[name]
        found: type[Method] = getattr(import_module(f"{__name__}.{name}"), word)
        return found

    def __contains__(self, name: object) -> bool:
        """Whether the table has a method of that name; imports nothing."""
        return name in self.classes

    def __iter__(self) -> Iterator[str]:
        """The names, in the order in which reports show the methods."""
        return iter(self.classes)

    def __len__(self) -> int:
        """How many methods there are."""
        return len(self.classes)


METHODS = Table(
    {
        "additive": "Additive",
        "one_hot_ridge": "OneHotRidge",
        "augmented_ridge": "AugmentedRidge",
        "site_gp": "SiteGP",
        "epistasis_gp": "EpistasisGP",
        "combination_gp": "CombinationGP",
        "plm_gp": "PlmGP",
        "shared_prior_gp": "SharedPriorGP",
        "coregional_gp": "CoregionalGP",
        "zero_shot": "ZeroShot",
        "embedding_gp": "EmbeddingGP",
        "sparse_gp": "SparseGP",
        "transmep": "TransMEP",
        "fine_tune": "FineTune",
        "fine_tune_together": "FineTuneTogether",
        "likelihood_tune": "LikelihoodTune",
        "likelihood_tune_together": "LikelihoodTuneTogether",
        "recalibrated": "Recalibrated",
        "stack": "Stack",
    }
)

__all__ = ["METHODS", "FitError", "Joint", "JointPredictor", "Method", "Predictor", "State"]
