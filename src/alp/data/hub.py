"""Data sets from the Hugging Face hub: what is on disk first, and a fast, clear failure offline."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from alp.errors import DataError

PROBE_SECONDS = 5.0


def download(repository: str, pattern: str, repair: str) -> Path:
    """The local folder of a data set's snapshot that holds the files matching ``pattern``.

    A snapshot that is already in the hub's own cache is used without a connection.

    Raises:
        DataError: huggingface_hub is not installed, or the hub cannot be reached; the message ends
            with ``repair``, which says how to give the files by hand.
    """
    try:
        from huggingface_hub import HfApi, snapshot_download
    except ImportError as error:
        raise DataError(
            f"{repository} has to be downloaded, but huggingface_hub is not installed: "
            f"pip install 'alp[hub]', or {repair}"
        ) from error
    fetch = partial(snapshot_download, repository, repo_type="dataset", allow_patterns=[pattern])
    try:
        folder = Path(fetch(local_files_only=True))
        if any(folder.rglob(pattern)):
            return folder
    except OSError:
        pass  # not in the hub's cache yet
    try:
        # The download itself retries for half a minute when there is no connection; this does not.
        revision = HfApi().dataset_info(repository, timeout=PROBE_SECONDS).sha
        return Path(fetch(revision=revision))
    except Exception as error:  # the hub's client raises those of whichever HTTP library it uses
        reason = str(error).strip().splitlines()[:1]
        raise DataError(
            f"cannot download {repository} from the Hugging Face hub "
            f"({type(error).__name__}: {''.join(reason)}): connect to the network, or {repair}"
        ) from error
