"""The kinds of student by name."""

from __future__ import annotations

from services.models.student import Student, StudentConfig
from services.models.student_conv import ConvStudent
from services.models.student_recurrent import RecurrentStudent
from services.models.student_static import StaticStudent

STUDENTS: dict[str, type[ConvStudent | RecurrentStudent | StaticStudent]] = {
    "static": StaticStudent,
    "conv": ConvStudent,
    "recurrent": RecurrentStudent,
}


def make(config: StudentConfig) -> Student:
    """A student of the config's kind, untrained. Raises ValueError for a kind that is not known."""
    if config.kind not in STUDENTS:
        raise ValueError(f"no student of kind {config.kind!r}; known: {', '.join(STUDENTS)}")
    return STUDENTS[config.kind](config)
