"""One stage in a results folder that is held: made aside, moved in, and recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gato_coffea.workflow.folder import (
    move_in,
    remove_stale,
    require_free,
    set_edited_aside,
    stage_aside,
)
from gato_coffea.workflow.provenance import Provenance, StageRecord, marks_below, measured


@dataclass(frozen=True)
class Recorder:
    """What every record of a results folder says beside its stages."""

    output: Path
    seed: int
    inputs: Mapping[str, Any]

    def write(self, record: Provenance) -> None:
        """Write the record."""
        record.write(self.output, seed=self.seed, inputs=self.inputs)

    def run(
        self,
        name: str,
        make: Callable[[Path], object],
        *,
        place: str,
        key: str,
        needs: Sequence[str] = (),
        forget: Sequence[str] = (),
    ) -> StageRecord:
        """Run a stage; it is forgotten until its files are complete and in their places.

        Parameters
        ----------
        name, key
            Of the stage.
        make
            Writes the files below the folder that it is given.
        place
            Name of the folder, or of the one file, that it writes there.
        needs
            Stages that it reads from.
        forget
            Stages that are forgotten with it.

        Raises
        ------
        OutputError
            If a file of another's would be replaced, or one behind a link that was changed since,
            or a file cannot be written.
        """
        record = Provenance.read(self.output).without([name, *forget])
        self.write(record)
        with stage_aside(self.output) as aside:
            with measured() as cost:
                make(aside)
            files = marks_below(aside)
            require_free(self.output, files, record.owned)
            set_edited_aside(self.output, files, record.owned)
            stale = {
                path: mark
                for path, mark in record.left.items()
                if Path(path).parts[0] == place and path not in files
            }
            record = record.with_left(files)
            self.write(record)
            move_in(aside, self.output, files)
        remove_stale(self.output, stale)
        done = StageRecord(key, files, cost.wall_s, cost.peak_mb, record.contents(needs))
        self.write(record.less(stale).with_stage(name, done))
        return done
