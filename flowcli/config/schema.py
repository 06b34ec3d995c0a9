"""The config as frozen, checked values.

Every class here is one mapping of the YAML file, in the very shape in which a user writes it: a part is a mapping with
one key, its name, over its options (``spline: {bins: 8}``). So the JSON schema that editors use comes from these
classes too, and the builder is one ``match`` over them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator

Auto = Literal["auto"]
Size = Annotated[int, Field(ge=1, le=65_536)]
Bound = Annotated[float, Field(gt=0, le=1000)]

MAX_LAYERS = 1000


class Options(BaseModel):
    """A mapping of the config: frozen, and without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def _named(part: Any) -> Any:
    """Turn a bare name, ``spline``, into a mapping with the default options."""
    return {part: {}} if isinstance(part, str) else part


def _name(part: Any) -> str | None:
    """Return the name of an alternative: its only key, or ``repeat``, which stands beside ``layers``."""
    if isinstance(part, BaseModel):
        return next(iter(type(part).model_fields))
    if isinstance(part, dict) and part:
        return "repeat" if "repeat" in part else str(next(iter(part)))
    return None


# --- networks ---------------------------------------------------------------------------------------------------------


class Net(Options):
    """The network that gives a transform its parameters.

    Attributes:
        hidden: Widths of the hidden layers; of the residual blocks, if ``residual``.
        residual: Whether there are skip connections, over two hidden layers each.
        activation: The nonlinearity of the hidden units.
        dropout: Share of hidden units dropped while training.
        parents: For autoregressive networks over continuous columns. With a number, each column has a small network of
            its own (of these widths) that sees at most so many of the columns before it, the most informative ones;
            without it, one masked network serves all columns.
    """

    hidden: Annotated[tuple[Size, ...], Field(min_length=1, max_length=64, strict=False)] | Auto = (128, 128)
    residual: bool = True
    activation: Literal["relu", "silu", "tanh"] = "silu"
    dropout: Annotated[float, Field(ge=0, lt=1)] | Auto = 0.0
    parents: Annotated[int, Field(ge=1, le=10_000)] | Auto | None = None

    @model_validator(mode="after")
    def _residual_blocks_are_equally_wide(self) -> Net:
        if self.residual and not isinstance(self.hidden, str) and len(set(self.hidden)) > 1:
            raise ValueError(
                f"hidden: {list(self.hidden)}: the blocks of a residual network are equally wide; or residual: false"
            )
        return self


# --- transforms of one coordinate -------------------------------------------------------------------------------------


class AffineOptions(Options):
    """Scale and shift; the log-scale stays within ``bound``."""

    bound: Bound = 5.0


class SplineOptions(Options):
    """A rational-quadratic spline on [-bound, bound], the identity outside."""

    bins: Annotated[int, Field(ge=2, le=256)] | Auto = 8
    bound: Bound = 5.0


class MixtureCdfOptions(Options):
    """The logit of the distribution function of a mixture of logistics."""

    components: Annotated[int, Field(ge=1, le=256)] = 8
    bound: Bound = 5.0


class Affine(Options):
    """``affine: {...}``."""

    affine: AffineOptions


class Spline(Options):
    """``spline: {...}``."""

    spline: SplineOptions


class MixtureCdf(Options):
    """``mixture_cdf: {...}``."""

    mixture_cdf: MixtureCdfOptions


Transform = Annotated[
    Annotated[Affine, Tag("affine")] | Annotated[Spline, Tag("spline")] | Annotated[MixtureCdf, Tag("mixture_cdf")],
    Discriminator(_name),
    BeforeValidator(_named),
]

# --- layers -----------------------------------------------------------------------------------------------------------


class Marginal(Options):
    """``marginal: quantile``: each column made near-normal by a map fitted to training rows; only as first layer."""

    marginal: Literal["none", "quantile", "auto"]


class Linear(Options):
    """``linear: lu`` or ``rotation``: columns mixed by an invertible matrix.

    In a row without some columns the others are mixed by what is left of it. ``auto`` is ``lu`` where every row has a
    number in every continuous column. Elsewhere it is ``none``, which is no layer at all, or among couplings the
    columns in reverse order.
    """

    linear: Literal["lu", "rotation", "random_rotation", "none", "auto"]


class Permutation(Options):
    """``permutation: random`` or ``reverse``: a fixed order of the columns."""

    permutation: Literal["random", "reverse"]


class ActNormOptions(Options):
    """Nothing to choose."""


class ActNorm(Options):
    """``actnorm: {}``: scale and shift per column, from the data at the start."""

    actnorm: ActNormOptions


class ElementwiseOptions(Options):
    """One set of parameters per column."""

    transform: Transform


class Elementwise(Options):
    """``elementwise: {...}``."""

    elementwise: ElementwiseOptions


class CouplingOptions(Options):
    """One half of the columns is transformed given the other half."""

    transform: Transform
    net: Net = Net()
    mask: Literal["even", "odd", "first_half", "second_half"] = "even"


class Coupling(Options):
    """``coupling: {...}``."""

    coupling: CouplingOptions


class AutoregressiveOptions(Options):
    """Each column is transformed given those before it."""

    transform: Transform
    net: Net = Net()
    order: Literal["natural", "reverse"] = "natural"


class Autoregressive(Options):
    """``autoregressive: {...}``."""

    autoregressive: AutoregressiveOptions


class Repeat(Options):
    """``repeat: 5`` over ``layers: [...]``: the layers, so many times, each time with weights of its own."""

    repeat: Annotated[int, Field(ge=0, le=1000)] | Auto
    layers: Annotated[tuple[Layer, ...], Field(min_length=1, strict=False)]


Layer = Annotated[
    Annotated[Marginal, Tag("marginal")]
    | Annotated[Linear, Tag("linear")]
    | Annotated[Permutation, Tag("permutation")]
    | Annotated[ActNorm, Tag("actnorm")]
    | Annotated[Elementwise, Tag("elementwise")]
    | Annotated[Coupling, Tag("coupling")]
    | Annotated[Autoregressive, Tag("autoregressive")]
    | Annotated[Repeat, Tag("repeat")],
    Discriminator(_name),
    BeforeValidator(_named),
]

# --- bases ------------------------------------------------------------------------------------------------------------


class NormalOptions(Options):
    """Independent normals; standard ones unless ``learnable``."""

    learnable: bool = False


class StudentTOptions(Options):
    """Independent Student t's with learnable degrees of freedom, location and scale."""

    degrees_of_freedom: Annotated[float, Field(gt=0, le=1e4)] = 10.0


class MixtureOptions(Options):
    """Gaussians with full covariance."""

    components: Annotated[int, Field(ge=1, le=1024)] | Auto = 8
    start: Literal["em", "random"] = "em"


class AutoregressiveMixtureOptions(Options):
    """A mixture's exact conditionals, corrected by a masked network."""

    components: Annotated[int, Field(ge=1, le=1024)] | Auto = 16
    start: Literal["em", "random"] = "em"
    net: Net = Net(hidden=(256, 256))


class Normal(Options):
    """``normal: {...}``."""

    normal: NormalOptions


class StudentT(Options):
    """``student_t: {...}``."""

    student_t: StudentTOptions


class Mixture(Options):
    """``mixture: {...}``."""

    mixture: MixtureOptions


class AutoregressiveMixture(Options):
    """``autoregressive_mixture: {...}``."""

    autoregressive_mixture: AutoregressiveMixtureOptions


Base = Annotated[
    Annotated[Normal, Tag("normal")]
    | Annotated[StudentT, Tag("student_t")]
    | Annotated[Mixture, Tag("mixture")]
    | Annotated[AutoregressiveMixture, Tag("autoregressive_mixture")],
    Discriminator(_name),
    BeforeValidator(_named),
]

# --- the whole --------------------------------------------------------------------------------------------------------


class DiscreteOptions(Options):
    """The softmax over categories, discrete numbers and missing cells."""

    net: Net = Net(hidden="auto", dropout="auto")


class CircularOptions(Options):
    """The splines of angles."""

    bins: Annotated[int, Field(ge=2, le=256)] = 16
    net: Net = Net(hidden="auto", dropout="auto")


class Architecture(Options):
    """The flow over continuous columns: layers in the order in which data passes them, then the base."""

    layers: Annotated[tuple[Layer, ...], Field(strict=False)] = ()
    base: Base = Normal(normal=NormalOptions())

    @model_validator(mode="after")
    def _marginal_comes_first(self) -> Self:
        if any(isinstance(layer, Marginal) for layer in _flatten(self.layers[1:])) or (
            self.layers and isinstance(self.layers[0], Repeat) and any(map(_is_marginal, _flatten(self.layers[:1])))
        ):
            raise ValueError("marginal may only be the first layer, because it is fitted to the columns themselves")
        return self

    @model_validator(mode="after")
    def _not_absurdly_deep(self) -> Self:
        layers = _count(self.layers)
        if layers > MAX_LAYERS:
            raise ValueError(f"{layers:,} layers once the repeats are written out; {MAX_LAYERS:,} are the most")
        return self


class FlowConfig(Architecture):
    """The architecture, and what comes before it.

    Attributes:
        layers: The layers of the flow over continuous columns.
        base: The base of that flow.
        wide: An alternative architecture for tables of many columns; a few training steps tell which is better. It is
            dropped where ``--set`` changes ``layers`` or ``base``.
        discrete: The model of columns that have probabilities instead of a density.
        circular: The model of angles.
    """

    wide: Architecture | None = None
    discrete: DiscreteOptions = DiscreteOptions()
    circular: CircularOptions = CircularOptions()

    @model_validator(mode="after")
    def _wide_needs_no_start(self) -> Self:
        if self.wide is None:
            return self
        first = self.wide.layers[0] if self.wide.layers else None
        if not (isinstance(first, Marginal) and first.marginal == "quantile"):
            raise ValueError("the layers of 'wide' begin with 'marginal: quantile'")
        if isinstance(self.wide.base, Mixture | AutoregressiveMixture):
            raise ValueError("the base of 'wide' is no mixture, since none is looked for to start it from")
        return self


class TrainConfig(Options):
    """How the flow is fitted.

    Attributes:
        batch_size: Rows per step.
        epochs: Passes over the training rows, at most.
        learning_rate: The peak of the schedule.
        schedule: ``cosine`` falls to zero over all epochs; ``plateau`` halves whenever the held-out nats stop rising.
        warmup: Steps over which the learning rate rises to its peak.
        patience: Evaluations without a better held-out figure before the fit stops; 0 never stops early.
        clip: Largest norm of the gradient.
        weight_decay: Decay of the networks' matrices, not of biases and of what is no network.
        average: Decay of the running average of weights that is evaluated and kept; 0 keeps the plain weights.
        noise: Standard deviation of noise added to the coordinates (which have unit scale) in each step.
        valid: Share of the rows held out to stop the fit and to score it.
    """

    batch_size: Annotated[int, Field(ge=1, le=1_000_000)] | Auto = "auto"
    epochs: Annotated[int, Field(ge=0, le=1_000_000)] | Auto = "auto"
    learning_rate: Annotated[float, Field(gt=0, le=10)] | Auto = 1e-3
    schedule: Literal["cosine", "plateau", "constant"] = "cosine"
    warmup: Annotated[int, Field(ge=0, le=1_000_000)] | Auto = "auto"
    patience: Annotated[int, Field(ge=0, le=1_000_000)] | Auto = "auto"
    clip: Annotated[float, Field(gt=0, le=1e6)] = 5.0
    weight_decay: Annotated[float, Field(ge=0, le=10)] = 0.0
    average: Annotated[float, Field(ge=0, lt=1)] | Auto = "auto"
    noise: Annotated[float, Field(ge=0, le=1)] = 0.0
    valid: Annotated[float, Field(gt=0, le=0.5)] = 0.1


class Config(Options):
    """A whole config file."""

    flow: FlowConfig
    train: TrainConfig = TrainConfig()
    columns: dict[str, str] = {}

    def to_json(self) -> dict[str, Any]:
        """Return the config as plain JSON values, every default written out, in the shape of the YAML file."""
        return self.model_dump(mode="json")


def _count(layers: Sequence[Layer]) -> int:
    """Return the number of layers once repeats are written out; ``auto`` counts as one."""
    total = 0
    for layer in layers:
        if isinstance(layer, Repeat):
            total += (1 if layer.repeat == "auto" else layer.repeat) * _count(layer.layers)
        else:
            total += 1
    return total


def _is_marginal(layer: Layer) -> bool:
    return isinstance(layer, Marginal)


def _flatten(layers: Sequence[Layer]) -> list[Layer]:
    """Return the layers, and those inside of repeats, in one list."""
    flat: list[Layer] = []
    for layer in layers:
        flat.extend(_flatten(layer.layers) if isinstance(layer, Repeat) else [layer])
    return flat


Repeat.model_rebuild()
Architecture.model_rebuild()
FlowConfig.model_rebuild()
Config.model_rebuild()
