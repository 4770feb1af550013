"""Attackers who only ask at work: their questions are counted, and what they hold is judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from alp import seeding
from alp.attacks import resumable
from alp.defences.base import Defence
from alp.evaluation.askers import TRANSFER, Asker
from alp.evaluation.tasks import ALL, Context, Part, as_columns, generate, require_inside

REJECTED = 10.0
"""Added to the logit of the label where the model rejects an image: to be rejected is no success
for an attacker, and it has to look so."""


class Transcript:
    """What an attacker was told, question by question, kept with the steps of the unit. An attacker
    does what its seeds and the answers make it do, so that one who was killed goes on by hearing
    the old answers again: nothing is paid twice.

    Made inside :func:`alp.attacks.resumable.drawing_from` the source of the answers' noise.
    """

    def __init__(self, questions: int, device: torch.device) -> None:
        """``questions``: how many there are at most."""
        self._state = SimpleNamespace(told=torch.zeros(0), known=torch.zeros(()))
        self._numbers = resumable.steps(questions, self._state)
        self._questions, self._device = questions, device
        self._known, self._heard = int(self._state.known), 0

    def hear(self, ask: Callable[[], Tensor]) -> Tensor:
        """The answer to the next question, (B,K): the one that was kept, or that of ``ask``."""
        number, self._heard = self._heard, self._heard + 1
        if number < self._known:
            old: Tensor = self._state.told[number]
            return old.to(self._device, copy=True)
        next(self._numbers)
        answer = ask()
        if not self._state.told.numel():
            self._state.told = torch.zeros(self._questions, *answer.shape, dtype=answer.dtype)
        # In place, unlike the state of other loops: rows of questions to come mean nothing yet.
        self._state.told[number] = answer
        self._state.known = torch.tensor(float(self._heard))
        return answer


class Questions:
    """The deployed model as somebody sees it who can only ask: the target of an attack. A call is
    one question about each image that is still open, for which ``answers`` answers are paid."""

    def __init__(
        self,
        defence: Defence,
        y: Tensor,
        source: torch.Generator,
        answers: int,
        labels: bool,
        transcript: Transcript | None = None,
    ) -> None:
        """``y``: labels (B,); ``source``: of the noise that is answered with; ``labels``: whether
        only classes are seen; ``transcript``: of an attack that may be killed."""
        self.defence, self.y, self.source = defence, y, source
        self.answers, self.labels, self.transcript = answers, labels, transcript
        self.open = torch.ones(len(y), dtype=torch.bool, device=y.device)
        """The images that are still asked about."""
        self.paid = torch.zeros(len(y), dtype=torch.long, device=y.device)
        """Answers paid for each image."""
        self.asked = 0
        """Answers paid for an image that is open."""

    def __call__(self, x: Tensor) -> Tensor:
        """Mean logits of the answers to images (B,3,H,W), or the shares of their votes, (B,K);
        zeros for images that are not open."""
        self.asked += self.answers
        self.paid += self.answers * self.open
        return self.transcript.hear(lambda: self._ask(x)) if self.transcript else self._ask(x)

    def _ask(self, x: Tensor) -> Tensor:
        rows = self.open
        with torch.no_grad():
            # one call each: where one draw serves a whole batch, copies in it would share theirs
            told = [self._answer(x[rows], self.y[rows]) for _ in range(self.answers)]
        mean = torch.stack(told).mean(0)
        everywhere = mean.new_zeros(len(x), mean.shape[1])
        everywhere[rows] = mean
        return everywhere

    def _answer(self, x: Tensor, y: Tensor) -> Tensor:
        logits: Tensor = self.defence(x, self.source)
        classes = logits.shape[1]
        if self.labels:
            logits = one_hot(logits.argmax(1), classes).to(logits)
        if "rejects" in self.defence.capabilities:
            right = one_hot(y, classes).to(logits)
            rejected = self.defence.rejects(x)[:, None]
            logits = (right if self.labels else logits + REJECTED * right).where(rejected, logits)
        return logits


@dataclass(frozen=True)
class AskingTask:
    """An attacker, on every image that is right at least once in R predictions. What it holds is
    judged at each checkpoint; an image that no selecting prediction has right any more is decided,
    and asked about no longer."""

    context: Context
    asker: Asker
    marks: tuple[int, ...]
    """The checkpoints: numbers of answers, from 0 to the budget."""
    evaluations: int
    """R: predictions that select, and that judge."""
    images = ALL
    after = 1

    @property
    def name(self) -> str:
        return self.asker.name

    @property
    def cost(self) -> tuple[float, float]:
        # Guesses of the images that stay open; of random models most do.
        left = 0.8 if self.context.defence.stochastic else 0.5
        judged = 1.5 * self.evaluations * len(self.marks)
        return 0, left * (self.asker.cost + judged) * self.context.defence.draws

    def run(self, x: Tensor, y: Tensor, batch: int, earlier: Sequence[Part]) -> Part:
        clean = torch.from_numpy(earlier[0]["clean_select"].copy())
        attacked = clean > 0
        marks = self.marks
        unasked = torch.full((len(x), len(marks)), -1, dtype=torch.int16)
        columns = {
            "select": unasked,
            "fresh": unasked.clone(),
            "queries": torch.where(attacked, -1, 0),
            "asked": torch.zeros(len(x), dtype=torch.long),
            "distance": torch.zeros(len(x)),
        }
        if attacked.any():
            rows = attacked.to(x.device)
            found = self._attacked(x[rows], y[rows], clean[attacked].to(x.device), batch)
            for name, values in found.items():
                columns[name][attacked] = values.cpu().to(columns[name].dtype)
        parts = {
            f"{mark}_{name}": columns[name][:, place]
            for place, mark in enumerate(marks)
            for name in ("select", "fresh")
        }
        made = as_columns({f"{self.name} {name}": values for name, values in parts.items()})
        whole = ("queries", "asked", "distance")
        made |= as_columns({f"{self.name}_{name}": columns[name] for name in whole})
        return {name: np.ascontiguousarray(values) for name, values in made.items()}

    def _attacked(self, x: Tensor, y: Tensor, clean: Tensor, batch: int) -> dict[str, Tensor]:
        """What becomes of images that are right: ``select`` and ``fresh`` (B,checkpoints), -1 where
        nothing was predicted, ``queries``, ``asked`` and ``distance`` (B,)."""
        context, asker = self.context, self.asker
        noise = seeding.generator(context.seed, f"draw/{self.name}", batch, device=x.device)
        labels = asker.sees == "labels"
        with resumable.drawing_from(noise):
            kept = Transcript(asker.attack.calls[1], x.device)
            questions = Questions(context.defence, y, noise, asker.answers, labels, kept)
            with resumable.apart():  # the transcript is all that is kept
                return self._searched(questions, x, y, clean, batch)

    def _searched(
        self, questions: Questions, x: Tensor, y: Tensor, clean: Tensor, batch: int
    ) -> dict[str, Tensor]:
        asker, marks, threat, device = self.asker, self.marks, self.context.threat, x.device
        source = seeding.generator(self.context.seed, f"attack/{self.name}", batch, device=device)
        points = asker.attack.search(questions, x, y, threat, source, self._start(x, y, batch))
        held = next(points)
        following = next(points, None)
        select = torch.full((len(x), len(marks)), -1, dtype=torch.long, device=device)
        fresh, first = select.clone(), select[:, 0].clone()
        for place, mark in enumerate(marks):
            while following is not None and questions.asked <= mark:
                held, following = following, next(points, None)
            rows = questions.open.clone()
            require_inside(held, threat.distance(held, x), threat, asker.attack)
            left = self._right("select", held[rows], y[rows], mark, batch)
            better = left < clean[rows]
            select[rows, place] = left
            if better.any():
                these = rows.nonzero().flatten()[better]
                fresh[these, place] = self._right("fresh", held[these], y[these], mark, batch)
            first[rows] = torch.where(left == 0, mark, -1)
            questions.open[rows] = left > 0
            if not questions.open.any():
                break
        return {
            "select": select,
            "fresh": fresh,
            "queries": first,
            "asked": questions.paid,
            "distance": threat.distance(held, x),
        }

    def _right(self, part: str, x: Tensor, y: Tensor, mark: int, batch: int) -> Tensor:
        """How many of R predictions are right, on draws that no attacker has met, (B,)."""
        point, rounds = f"{part}/{self.name} {mark}", self.evaluations
        return self.context.right(x, y, point, batch, rounds, attacked=True).long()

    def _start(self, x: Tensor, y: Tensor, batch: int) -> Tensor | None:
        """The images that fool the surrogate, the same for every attacker that starts there."""
        surrogate = self.asker.surrogate
        if not surrogate:
            return None
        return generate(
            self.context.surrogates[surrogate],
            "transfer",
            x,
            y,
            self.context.threat,
            TRANSFER,
            seed=self.context.seed,
            batch=batch,
            name=f"transfer {surrogate}",
        )
