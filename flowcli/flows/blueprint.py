"""A part of a flow before it is made, so that a config too large is refused while it costs nothing.

Making the part on torch's meta device would tell its size as well, but that loads a second half of torch (its compiler,
sympy): as long as loading torch itself takes, at each start of a command.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from flowcli.errors import ConfigError

Built = TypeVar("Built", covariant=True)

LARGEST_MODEL = 2**33  # bytes of parameters; a fit needs about five times as much


@dataclass(frozen=True)
class Blueprint(Generic[Built]):
    """What a part will be.

    Attributes:
        parameters: How many parameters it will have.
        make: Makes it, with weights from torch's global generator; raises ``ConfigError`` if the config asks for
            something impossible.
    """

    parameters: int
    make: Callable[[], Built]

    def refuse_too_large(self) -> None:
        """Refuse what is larger than any fit could use.

        Raises:
            ConfigError: It is.
        """
        bytes_needed = 4 * self.parameters
        if bytes_needed > LARGEST_MODEL:
            size = f"{bytes_needed / 2**30:,.0f} GiB"
            raise ConfigError(f"the flow would hold {size} of parameters; use smaller networks or fewer layers")
