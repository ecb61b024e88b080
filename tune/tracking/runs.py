"""Opens W&B runs: of one project and group, under ids that a resumed search finds again.

https://docs.wandb.ai/ref/python/init
"""

import hashlib
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, cast
from urllib.parse import quote

from tune.tracking.mode import one_line

DEFAULT_PROJECT = "utkface-tune"
_INIT_TIMEOUT_S = 30.0  # per run; what cannot be reached by then is recorded offline
_FINISH_TIMEOUT_S = 30.0  # per run; what is not sent by then can be synced later


class RunOpener:
    """Opens the runs of one search.

    Parameters: ``mode``, online or offline; the ``folder`` where wandb/ is made; ``search``, the
    content of search.json; ``say`` prints a line, ``warn`` is told of what goes wrong.
    """

    def __init__(
        self,
        mode: str,
        folder: Path,
        search: Mapping[str, Any],
        *,
        say: Callable[[str], None],
        warn: Callable[[str], None],
    ) -> None:
        assert mode in ("online", "offline"), mode
        self._mode, self._folder, self._say, self._warn = mode, folder, say, warn
        name = str(search.get("name", folder.name))
        self._group = str(search.get("group") or name)
        # Names repeat between users and machines of one project; run ids must not.
        identity = f"{name} {search.get('created')} {search.get('seed')}"
        digest = hashlib.sha256(identity.encode()).hexdigest()[:8]
        self.wandb_folder = folder / "wandb"
        #: The search's name as W&B allows it in ids, and no other search's.
        self.id_prefix = f"{re.sub(r'[^A-Za-z0-9_-]', '-', name)[:64]}-{digest}"
        is_demo = (search.get("data") or {}).get("is_demo")
        self.tags: tuple[str, ...] = ("demo faces",) if is_demo else ()
        self._project = os.environ.get("WANDB_PROJECT") or DEFAULT_PROJECT
        self._url_said = False

    def open(self, key: str, name: str, job_type: str, config: Mapping[str, Any]) -> Any:
        """Return a W&B run, the same one for the same ``key`` in all sessions of a search.

        Where W&B cannot be reached, this run and all later ones are recorded offline.
        """
        try:
            run = self._init(key, name, job_type, config)
        except Exception as error:
            if self._mode == "offline":
                raise
            self._mode = "offline"
            self._warn(one_line(error))
            run = self._init(key, name, job_type, config)
        if self._mode == "online" and not self._url_said:
            self._url_said = True
            self._say(f"W&B: {run.project_url}/groups/{quote(self._group, safe='')}")
        return run

    def _init(self, key: str, name: str, job_type: str, config: Mapping[str, Any]) -> Any:
        import wandb

        settings = wandb.Settings(
            silent=True,
            console="off",
            init_timeout=_INIT_TIMEOUT_S,
            finish_timeout=_FINISH_TIMEOUT_S,
            finish_timeout_raises=True,
            allow_val_change=True,  # a resumed search may have another number of trials
            # The driver's load says nothing about a trial, which runs elsewhere.
            x_disable_stats=True,
            disable_code=True,
            disable_git=True,
            x_save_requirements=False,
        )
        return wandb.init(
            project=self._project,
            group=self._group,
            job_type=job_type,
            name=name,
            id=f"{self.id_prefix}-{key}",
            config=dict(config),
            tags=self.tags,
            dir=str(self._folder),
            mode=cast(Literal["online", "offline"], self._mode),
            resume="allow",
            reinit="create_new",
            settings=settings,
        )
