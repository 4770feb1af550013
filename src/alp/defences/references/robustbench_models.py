"""``robustbench:NAME``: a model of RobustBench's zoo."""

from __future__ import annotations

from alp.defences.references import REFERENCES, Found, Reference
from alp.errors import AlpError, CheckpointError, ConfigError
from alp.files import exists, expanded


@REFERENCES.register("robustbench")
def open_robustbench(reference: Reference) -> Found:
    """The architecture NAME of RobustBench's CIFAR-10 models under Linf, with weights from a
    safetensors file, ``weights=FILE``: RobustBench's own loader unpickles what it downloads. Its
    models normalise inside.

    Raises:
        AlpError: robustbench cannot be imported.
        ConfigError: no weights are given, or there is no such model.
        CheckpointError: the weights do not fit.
    """
    try:
        from robustbench.model_zoo.cifar10 import linf
    except Exception as error:  # it asks for old versions of other packages
        raise AlpError(
            "robustbench:NAME needs robustbench, which cannot be imported "
            f"({type(error).__name__}: {error}); install it from its repository, or build the "
            "model in a file of your own and give FILE.py:FUNCTION"
        ) from error
    if reference.place not in linf:
        raise ConfigError(
            f"robustbench has no model {reference.place!r}; it has: {', '.join(list(linf)[:12])}"
        )
    path = expanded(reference.settings.get("weights", ""))
    if path.suffix != ".safetensors" or not exists(path):
        raise ConfigError(
            f"robustbench:{reference.place} needs its weights as safetensors, since nothing is "
            "unpickled here: load them once with robustbench.load_model, write them with "
            "safetensors.torch.save_file(model.state_dict(), path), and add ,weights=FILE"
        )
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    model = linf[reference.place]["model"]()
    try:
        model.load_state_dict(load_file(path))
    except (RuntimeError, SafetensorError) as error:
        raise CheckpointError(
            f"{path} does not fit {reference.place}: {str(error).splitlines()[0]}"
        ) from error
    return Found(model.eval())
