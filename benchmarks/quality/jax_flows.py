"""flowjax by its ``fit_to_data`` and pzflow by its ``Flow.train``: the training loops that these libraries come with.

Neither can be told of a budget, so it is measured first, out of time, how many epochs fit into it. What they report is
the validation loss of each epoch; their curves are that, moved so that it ends where the test rows are.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.quality.run import VALIDATION, Budget, Numbers, Run, Standard

HIDDEN, LAYERS, BINS, BOUND = 128, 5, 8, 5
RATE, CLIP, MOST_EPOCHS, PATIENCE = 1e-3, 5.0, 500, 15


def flowjax_nsf(train: Numbers, test: Numbers, budget: Budget, seed: int) -> Run:
    """flowjax's masked autoregressive flow of splines: 5 layers, hidden layers of 128 and 128, 8 bins."""
    import equinox
    import jax
    import jax.numpy as jnp
    import optax
    from flowjax.bijections import RationalQuadraticSpline
    from flowjax.distributions import StandardNormal
    from flowjax.flows import masked_autoregressive_flow
    from flowjax.train import fit_to_data
    from flowjax.train.losses import MaximumLikelihoodLoss

    standard = Standard(train)
    rows = jnp.asarray(standard(train), jnp.float32)
    flow = masked_autoregressive_flow(
        jax.random.key(seed),
        base_dist=StandardNormal((train.shape[1],)),
        transformer=RationalQuadraticSpline(knots=BINS, interval=BOUND),
        flow_layers=LAYERS,
        nn_width=HIDDEN,
        nn_depth=2,
    )
    batch = 512 if len(rows) >= 5_000 else 128
    loss = MaximumLikelihoodLoss()

    def fit(optimizer: Any, epochs: int) -> tuple[Any, dict[str, list[float]], float]:
        started = time.perf_counter()
        fitted, losses = fit_to_data(
            jax.random.key(seed + 1),
            flow,
            data=rows,
            loss_fn=loss,
            optimizer=optimizer,
            max_epochs=epochs,
            max_patience=PATIENCE,
            batch_size=batch,
            val_prop=VALIDATION,
            show_progress=False,
        )
        return fitted, losses, time.perf_counter() - started

    plain = optax.adam(RATE)
    once, thrice = (fit(plain, epochs)[2] for epochs in (1, 3))
    compiling = max(0.0, once - thrice / 3)
    epochs = int(np.clip((budget.seconds - compiling) / (thrice / 3), 3, MOST_EPOCHS))
    steps = epochs * max(1, int(len(rows) * (1 - VALIDATION)) // batch)
    schedule = optax.warmup_cosine_decay_schedule(0.0, RATE, min(100, steps // 10), steps)
    fitted, losses, seconds = fit(optax.chain(optax.clip_by_global_norm(CLIP), optax.adam(schedule)), epochs)
    score = equinox.filter_jit(lambda model, x: model.log_prob(x))
    unit = standard(test).astype(np.float32)
    found = np.concatenate([np.asarray(score(fitted, unit[at : at + 2048])) for at in range(0, len(unit), 2048)])
    log_prob = found.astype(np.float64) + standard.log_det
    curve = _curve(-np.array(losses["val"]), compiling, seconds, float(log_prob.mean()))
    return Run(log_prob, seconds, curve, f"{len(losses['val'])} epochs of {batch}")


def pzflow_default(train: Numbers, test: Numbers, budget: Budget, seed: int) -> Run:
    """pzflow with no option: rolling spline coupling on a uniform base, columns shifted into its interval."""
    from pzflow import Flow

    frame, tested = pd.DataFrame(train), pd.DataFrame(test)
    names = [f"x{i}" for i in range(frame.shape[1])]
    frame.columns = tested.columns = names
    order = np.random.default_rng([seed, 1]).permutation(len(frame))
    cut = max(1, round(VALIDATION * len(frame)))
    valid, fitted = (frame.iloc[part].reset_index(drop=True) for part in (order[:cut], order[cut:]))

    def fit(epochs: int) -> tuple[Any, tuple[list[float], list[float]], float]:
        started = time.perf_counter()
        flow = Flow(names, seed=seed)
        losses = flow.train(
            fitted, val_set=valid, epochs=epochs, seed=seed, best_params=True, patience=PATIENCE, progress_bar=False
        )
        return flow, losses, time.perf_counter() - started

    once, thrice = (fit(epochs)[2] for epochs in (1, 3))
    each = max(1e-3, (thrice - once) / 2)
    epochs = int(np.clip((budget.seconds - once) / each, 3, MOST_EPOCHS))
    flow, losses, seconds = fit(epochs)
    log_prob = np.asarray(flow.log_prob(tested), np.float64)
    log_prob = np.where(np.isfinite(log_prob), log_prob, np.nan)
    outside = float(np.isnan(log_prob).mean())
    curve = _curve(-np.array(losses[1]), once, seconds, float(np.nanmean(log_prob)))
    note = f"{len(losses[1]) - 1} epochs" + (f"; {outside:.2%} of the test rows without a density" if outside else "")
    return Run(log_prob, seconds, curve, note)


def _curve(valid: Numbers, before: float, seconds: float, end: float) -> list[tuple[float, float]]:
    """The best validation nats until then, epoch by epoch, moved to where the test rows end up."""
    best = np.maximum.accumulate(np.where(np.isfinite(valid), valid, -np.inf))
    at = before + (seconds - before) * np.arange(1, len(best) + 1) / len(best)
    return [(float(t), float(nats - best[-1] + end)) for t, nats in zip(at, best, strict=True) if np.isfinite(nats)]
