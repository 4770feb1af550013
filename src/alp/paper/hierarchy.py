"""Table II of the paper: baseline, ALP standalone, AT, A-ALP + AT (records ``robustness``)."""

from __future__ import annotations

from alp.evaluation.records import Record
from alp.paper import trained
from alp.paper.lab import Lab


def hierarchy(lab: Lab) -> list[Record]:
    """Train what is missing, evaluate what is missing, return the records of all rows and trials.

    Raises:
        AlpError: data, checkpoints or records are damaged or of other settings.
    """
    records = [
        lab.evaluate("baseline", trained.BASELINE, trained.standard(lab).model),
        lab.evaluate("adversarial", trained.AT, trained.adversarial(lab).model),
    ]
    for trial in range(lab.protocol.trials):
        alone = trained.standalone(lab, trial)
        both = trained.defended(lab, trial)
        records += [
            lab.evaluate(f"standalone-{trial}", trained.STANDALONE, alone, trial=trial),
            lab.evaluate(f"defended-{trial}", trained.DEFENDED, both, trial=trial),
        ]
    return records
