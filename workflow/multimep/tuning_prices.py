"""What training a language model takes, by the sizes of the job."""

import math

from multimep.job_sizes import MIB, PYTHON, SCIPY, TORCH, Work, activations, batch, forward, texts


def fine_tuning(work: Work) -> float:
    """Operations of fine-tuning."""
    # backward is twice forward, once where weights are frozen beside low-rank matrices; checkpointing: forward again;
    # frozen layers forward once a fit, or in every epoch where their states have no room; one pass per row asked
    share, epochs = _learning(work), int(work.settings.get("epochs", 10))
    passes = (2.0 if _low_rank(work) else 3.0) + bool(work.settings.get("gradient_checkpointing", False))
    fits = _states(work) <= _prefix_room(work)
    below = (1.0 - share) * (1 if fits else epochs)
    return ((passes * epochs * share + below) * work.taught + work.asked) * forward(work)


def fine_tuning_memory(work: Work) -> float:
    """MiB of fine-tuning."""
    # weights twice; of those that learn gradient, two moments of AdamW, the best so far: 4 bytes each
    share = _learning(work)
    layers = math.ceil(share * work.model.layers)
    # of a stack besides, for each model: its weights, and once more what it learnt until it is asked for
    models = min(int(work.settings.get("models_at_once", 1)), len(work.folds))
    own = 16.0 * share if models == 1 else 24.0 * share * models
    each = 12.0 if _low_rank(work) else 8.0 + own
    held = min(layers, 1) if work.settings.get("gradient_checkpointing", False) else layers
    bounds = 4.0 * models * batch(work, 8) * work.tokens * work.model.width * layers / MIB
    prefix = min(_states(work), _prefix_room(work)) if share < 1.0 else 0.0
    trained = each * work.model.parameters / MIB + models * activations(work, batch(work, 8), held)
    return PYTHON + SCIPY + TORCH + texts(work) + trained + bounds + prefix


def _learning(work: Work) -> float:
    """The share of the layers that learns."""
    last, layers = int(work.settings.get("layers", 0)), work.model.layers
    return min(1.0, last / layers) if last and layers else 1.0


def _low_rank(work: Work) -> bool:
    return bool(work.settings.get("adapt", "full") == "lora")


def _states(work: Work) -> float:
    """MiB of the states below the first layer that learns, of every row that teaches."""
    return 4.0 * work.taught * work.tokens * work.model.width / MIB


def _prefix_room(work: Work) -> float:
    return 1024.0 * float(work.settings.get("prefix_memory", 1.0))


def likelihood_tuning(work: Work) -> float:
    """Operations of tuning a likelihood."""
    # three passes of the wild type a step (`masked`: of a copy for each site in the batch), then the table
    masked = work.settings.get("score", "wild_type") == "masked"
    copies = min(batch(work, 128), work.largest, work.length) if masked else 1
    steps = 3.0 * copies * int(work.settings.get("steps", 100))
    table = work.length if masked else 1
    return _members(work) * (len(work.folds) * (steps + table) * forward(work) + 1e3 * work.asked)


def likelihood_tuning_memory(work: Work) -> float:
    """MiB of tuning a likelihood."""
    # the model and its copy; for each weight that learns a gradient, two moments and the best so far
    masked = work.settings.get("score", "wild_type") == "masked"
    copies = min(batch(work, 128), work.largest, work.length) if masked else 1
    bytes_each = {"lora": 12.0, "last_layers": 16.0}.get(work.settings.get("adapt", "lora"), 24.0)
    trained = bytes_each * work.model.parameters / MIB + activations(work, copies, work.model.layers)
    return PYTHON + SCIPY + TORCH + texts(work) + trained


def _members(work: Work) -> int:
    return int(work.settings.get("members", 1))
