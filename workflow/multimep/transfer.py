"""A tensor on its way from a GPU to the processor's memory, while the GPU works on."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor


@dataclass
class Transfer:
    """Begins when it is made: by a stream of its own into pinned memory; a tensor of the processor stays where it is.

    Attributes:
        values: what is sent.
    """

    values: Tensor
    _host: Tensor = field(init=False)
    _done: torch.cuda.Event | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        """Begin, after the work that is already queued on the GPU."""
        if self.values.device.type != "cuda":
            self._host = self.values
            return
        self._host = torch.empty(self.values.shape, dtype=self.values.dtype, pin_memory=True)
        stream = torch.cuda.Stream(self.values.device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream(self.values.device))
        with torch.cuda.stream(stream):
            self._host.copy_(self.values, non_blocking=True)
            self.values.record_stream(stream)
            self._done = stream.record_event()

    def arrived(self) -> np.ndarray:
        """The values, once they are here."""
        if self._done is not None:
            self._done.synchronize()
        return self._host.numpy()
