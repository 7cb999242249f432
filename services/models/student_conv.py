"""The convolutional student (after Kim 2014, arXiv 1408.5882).

Behind the first convolution each looks further than the one before, at tokens that lie apart
(dilated: Yu & Koltun, arXiv 1511.07122; over texts: Strubell et al., arXiv 1702.02098). A negation
five words off costs no more to see than the neighbour.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from services.models.student import Student, StudentConfig


class ConvStudent(Student):
    """Reads runs of tokens: each state sees `kernel` tokens, then as many of those states."""

    def __init__(self, config: StudentConfig) -> None:
        super().__init__(config, features=config.width)
        widths = (config.embedding, *(config.width for _ in config.dilations))
        self.convolutions = nn.ModuleList(
            nn.Conv1d(
                before, behind, config.kernel, padding=apart * (config.kernel // 2), dilation=apart
            )
            for (before, behind), apart in zip(pairwise(widths), config.dilations, strict=True)
        )

    def read(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Convolve; what stands beside a row's last token must not depend on the padding."""
        inside = mask.transpose(1, 2)
        first, *others = self.convolutions
        states = functional.gelu(first(hidden.transpose(1, 2) * inside))
        for convolution in others:
            states = states * inside
            states = states + functional.gelu(convolution(self.dropout(states)))
        return states.transpose(1, 2)
