"""METHODS, the one table: name in config.yaml -> the frozen dataclass that holds its settings and fits."""

from collections.abc import Mapping

from multimep.methods.additive import Additive
from multimep.methods.embedding_gp import EmbeddingGP
from multimep.methods.fine_tune import FineTune
from multimep.methods.fine_tune_together import FineTuneTogether
from multimep.methods.method import FitError, Method, Predictor, State
from multimep.methods.one_hot_ridge import OneHotRidge
from multimep.methods.transmep import TransMEP
from multimep.methods.zero_shot import ZeroShot

METHODS: Mapping[str, type[Method]] = {
    "additive": Additive,
    "one_hot_ridge": OneHotRidge,
    "zero_shot": ZeroShot,
    "embedding_gp": EmbeddingGP,
    "transmep": TransMEP,
    "fine_tune": FineTune,
    "fine_tune_together": FineTuneTogether,
}

__all__ = ["METHODS", "FitError", "Method", "Predictor", "State"]
