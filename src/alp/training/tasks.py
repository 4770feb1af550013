"""Training of a purifier, of a classifier, and of both together; the attacks of trainings."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from alp.attacks import BIM, NFGSM, PGD, THREATS, Linf
from alp.defences import Defended, InputNoise, Purifier
from alp.defences.base import Defence, classify
from alp.errors import ConfigError, choose
from alp.training.base import TASKS, Perturb, Source, Start, Task
from alp.training.losses import distortion, rate, target_mse, update_multiplier
from alp.training.stages import AdversaryConfig, ClassifierStage, JointStage, PurifierStage

FAR = 3.0
"""Decibels below the reconstruction that was asked for from which a purifier is doubted."""


class PurifierTask(Task):
    """Rate and distortion of one draw (losses.py)."""

    log_multiplier: Tensor

    def __init__(self, stage: PurifierStage, model: Purifier) -> None:
        super().__init__()
        self.model: Purifier = model
        self.rate = stage.rate
        self.target = target_mse(stage.rate.psnr)
        self.register_buffer("log_multiplier", torch.zeros(()))

    def forward(self, x: Tensor, attacked: Tensor, y: Tensor, source: Source) -> dict[str, Tensor]:
        mu = self.model.encode(x).float()
        z = self.model.noise(mu, source)
        image = self.model.decode(z, (x.shape[-2], x.shape[-1])).float()
        sigma = self.model.noise.sigma
        mse = distortion(x, image).mean()
        scalars = {"mse": mse, "sigma": sigma.mean()}
        if not self.model.config.sigma:  # an autoencoder without noise has no finite rate
            return {"loss": mse, **scalars}
        nats = rate(mu, sigma).mean()
        if self.rate.objective == "mse":
            loss = mse
        elif self.rate.objective == "elbo":
            loss = mse + self.rate.beta * nats
        else:
            loss = nats / x[0].numel() + self.log_multiplier.exp() * mse / self.target
        power = mu.square().mean()
        return {
            "loss": loss,
            **scalars,
            "bits_per_latent": nats / mu[0].numel() / math.log(2),
            "latent_snr": power / sigma.square().mean(),
        }

    def observe(self, scalars: Mapping[str, float]) -> None:
        if self.rate.objective == "constrained":
            mse = torch.tensor(scalars["mse"])
            self.log_multiplier.copy_(
                update_multiplier(self.log_multiplier.cpu(), mse, self.target, self.rate.step)
            )

    def doubts(self, history: Mapping[str, Sequence[float]]) -> list[str]:
        errors = history["mse"]
        last = errors[-max(1, len(errors) // 20) :]
        mse = sum(last) / len(last)
        reached = -10 * math.log10(mse) if mse > 0 else math.inf
        if self.rate.objective != "constrained" or reached > self.rate.psnr - FAR:
            return []
        return [
            f"the purifier reaches {reached:.1f} dB, and {self.rate.psnr:.1f} dB were asked for: "
            "what it makes of a picture is far from it, and a classifier behind it loses much; "
            "train it for longer (optim.epochs), on more pictures, or start from a packaged one"
        ]


@TASKS.register("PurifierStage")
def purifier_task(stage: PurifierStage, start: Start) -> PurifierTask:
    """The given purifier, or a new one."""
    return PurifierTask(stage, start.purifier_of(stage.purifier))


class ClassifierTask(Task):
    """Cross-entropy of clean or attacked images, through the purifier where there is one."""

    def __init__(
        self,
        stage: ClassifierStage,
        model: Defence,
        perturb: Perturb | None,
    ) -> None:
        super().__init__()
        if (perturb is None) != (stage.adversary.method == "none"):
            raise ConfigError(
                f"adversary.method is {stage.adversary.method!r}, but perturb is {perturb!r}; "
                "give a perturb callable with an adversary, and none without"
            )
        self.model = model
        self.stage = stage
        self.perturb = perturb

    def logits(self, x: Tensor, source: Source) -> Tensor:
        return self.model(x, source, draws=self.stage.draws).float()  # type: ignore[no-any-return]

    def attack(self, x: Tensor, y: Tensor, source: Source) -> Tensor:
        if self.perturb is None:
            return x
        labels = y
        if self.stage.adversary.method == "trades":
            with torch.no_grad():
                labels = self.logits(x, source).softmax(1)
        return self.perturb(lambda point: self.logits(point, source), x, labels, source)

    @property
    def agreement(self) -> float:
        """Weight of the divergence between clean and attacked predictions."""
        trades = self.stage.adversary.method == "trades"
        return self.stage.adversary.beta if trades else self.stage.agreement

    def classify(self, out: Tensor, clean: Tensor, y: Tensor) -> dict[str, Tensor]:
        """The loss, by the logits (B, K) of the attacked and of the clean images; the latter count
        where agreement does."""
        labelled = clean if self.stage.adversary.method == "trades" else out
        loss = F.cross_entropy(labelled, y, label_smoothing=self.stage.label_smoothing)
        if self.agreement:
            loss = loss + self.agreement * divergence(clean, out)
        return {"loss": loss, "accuracy": (out.argmax(1) == y).float().mean()}

    def forward(self, x: Tensor, attacked: Tensor, y: Tensor, source: Source) -> dict[str, Tensor]:
        out = self.logits(attacked, source)
        return self.classify(out, self.logits(x, source) if self.agreement else out, y)


@TASKS.register("ClassifierStage")
def classifier_task(stage: ClassifierStage, start: Start) -> ClassifierTask:
    """A classifier on raw images, or behind a purifier that stays as it is.

    Raises:
        ConfigError: there are a purifier and noise at the input.
    """
    _require_one_noise(stage, start)
    head = start.classifier_of(stage.classifier)
    model = InputNoise(head, stage.input_noise) if stage.input_noise else start.behind(head)
    return ClassifierTask(stage, model, perturbation(stage.adversary))


def _require_one_noise(stage: ClassifierStage, start: Start) -> None:
    if start.purifier is not None and stage.input_noise:
        raise ConfigError(
            f"input_noise is {stage.input_noise}, and a purifier is given; noise goes to the "
            "input or to the latent: leave one of them out"
        )


class JointTask(ClassifierTask):
    """The classifier's loss, agreement of clean and attacked images, and rate-distortion.

    One draw of a clean image serves the agreement and the distortion.
    """

    stage: JointStage
    model: Defended

    def __init__(self, stage: JointStage, model: Defended, perturb: Perturb | None) -> None:
        super().__init__(stage, model, perturb)
        if stage.rate and not model.purifier.config.sigma:
            raise ConfigError(
                f"the purifier's sigma is 0.0, whose rate is infinite, and JointStage.rate is "
                f"{stage.rate}; give the rate 0"
            )

    def forward(self, x: Tensor, attacked: Tensor, y: Tensor, source: Source) -> dict[str, Tensor]:
        out = self.logits(attacked, source)
        purifier = self.model.purifier
        mu = purifier.encode(x).float()
        image = purifier.decode(purifier.noise(mu, source), (x.shape[-2], x.shape[-1])).float()
        clean = self.model.classifier(image.clamp(0, 1)).float() if self.agreement else out
        scalars = self.classify(out, clean, y)
        mse = distortion(x, image).mean()
        sigma = purifier.noise.sigma
        loss = scalars["loss"] + self.stage.reconstruction * mse
        if self.stage.rate:
            loss = loss + self.stage.rate * rate(mu, sigma).mean() / x[0].numel()
        return scalars | {"loss": loss, "mse": mse, "sigma": sigma.mean()}


@TASKS.register("JointStage")
def joint_task(stage: JointStage, start: Start) -> JointTask:
    """The given purifier and its classifier, both trained."""
    _require_one_noise(stage, start)
    head, front = start.classifier_of(stage.classifier), start.given_purifier()
    return JointTask(stage, Defended(head, front), perturbation(stage.adversary))


def divergence(clean: Tensor, attacked: Tensor) -> Tensor:
    """KL(softmax(clean) || softmax(attacked)), the mean over the batch (Zhang et al. 2019,
    equation 5): logits (B, K) twice -> a scalar."""
    return F.kl_div(
        attacked.log_softmax(1), clean.log_softmax(1), reduction="batchmean", log_target=True
    )


def perturbation(adversary: AdversaryConfig) -> Perturb | None:
    """The attack of an adversary; None where there is none."""
    if adversary.method == "none":
        return None
    threat = choose(THREATS, adversary.norm, "norm")(adversary.eps)
    attack = NFGSM() if adversary.method == "nfgsm" else PGD(steps=adversary.steps)
    return lambda target, x, y, source: attack(target, x, y, threat, source)


def growing(adversary: AdversaryConfig) -> Callable[[float], Perturb]:
    """The attack of an adversary at a share of its radius, above 0."""

    def at(share: float) -> Perturb:
        perturb = perturbation(replace(adversary, eps=share * adversary.eps))
        assert perturb is not None
        return perturb

    return at


def iterated(
    model: nn.Module, x: Tensor, y: Tensor, eps: float, steps: int, source: Source
) -> Tensor:
    """FGSM in ``steps`` steps that reach ``eps`` together (Kurakin et al. 2017)."""
    target = partial(classify, model)
    return BIM(steps=steps, step_size=eps / steps)(target, x, y, Linf(eps), source)
