"""The convolutional student: two convolutions over the tokens (after Kim 2014, arXiv 1408.5882)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from services.models.student import Student, StudentConfig


class ConvStudent(Student):
    """Reads runs of tokens: each state sees `kernel` tokens, then as many of those states."""

    def __init__(self, config: StudentConfig) -> None:
        super().__init__(config, features=config.width)
        width, pad = config.width, config.kernel // 2
        self.widen = nn.Conv1d(config.embedding, width, config.kernel, padding=pad)
        self.deepen = nn.Conv1d(width, width, config.kernel, padding=pad)

    def read(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Convolve; what stands beside a row's last token must not depend on the padding."""
        inside = mask.transpose(1, 2)
        wide = functional.gelu(self.widen((hidden * mask).transpose(1, 2))) * inside
        deep = wide + functional.gelu(self.deepen(self.dropout(wide)))
        return deep.transpose(1, 2)
