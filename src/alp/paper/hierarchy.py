"""Table II of the paper: baseline, ALP standalone, AT, A-ALP + AT.

Rows: a standard classifier; the purifier with one draw before a standard classifier that was
fine-tuned on purified images; an adversarially trained classifier; the purifier with the consensus
before the adversarially trained classifier, fine-tuned adversarially on purified images. The two
rows with a purifier are trained once a trial, each trial from its own seed.
"""

from __future__ import annotations

from alp.evaluation.records import Record
from alp.models import Defended
from alp.models.checkpoint import Model
from alp.paper.lab import Lab

BASELINE, STANDALONE, AT, DEFENDED = "baseline", "ALP standalone", "AT", "A-ALP + AT"


def hierarchy(lab: Lab) -> list[Record]:
    """Train what is missing, evaluate what is missing, return the records of all rows and trials.

    Raises:
        AlpError: data, checkpoints or records are damaged or of other settings.
    """
    standard = lab.train("standard", "standard")
    adversarial = lab.train("adversarial", "adversarial")
    records = [
        lab.evaluate("baseline", BASELINE, standard.model),
        lab.evaluate("adversarial", AT, adversarial.model),
    ]
    for trial in range(lab.protocol.trials):
        purifier = lab.train(f"purifier-{trial}", "purifier", trial=trial)
        alone = lab.train(
            f"standalone-{trial}",
            "standard-purified",
            trial=trial,
            purifier=purifier.path,
            classifier=standard.path,
        )
        both = lab.train(
            f"defended-{trial}",
            "adversarial-purified",
            trial=trial,
            purifier=purifier.path,
            classifier=adversarial.path,
        )
        records.append(
            lab.evaluate(
                f"standalone-{trial}", STANDALONE, _with_draws(alone.model, 1), trial=trial
            )
        )
        consensus = _with_draws(both.model, lab.protocol.draws)
        records.append(lab.evaluate(f"defended-{trial}", DEFENDED, consensus, trial=trial))
    return records


def _with_draws(model: Model, draws: int) -> Model:
    assert isinstance(model, Defended)
    return Defended(model.classifier, model.purifier, draws).eval()
