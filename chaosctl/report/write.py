"""Writing the reports of a run into its bundle. The only effect of this room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from chaosctl.errors import ExitCode, RecordingError
from chaosctl.recording.reader import Recording
from chaosctl.recording.writer import write_atomically
from chaosctl.report.contract import Reporter
from chaosctl.report.html import HtmlReporter
from chaosctl.report.json_verdict import JsonReporter
from chaosctl.report.junit import JunitReporter
from chaosctl.report.markdown import MarkdownReporter
from chaosctl.verify.contract import Verdict

REPORTERS: tuple[Reporter, ...] = (JsonReporter(), JunitReporter(), MarkdownReporter(), HtmlReporter())


class ReportsIncompleteError(RecordingError):
    """Some reports could not be made or written. `written` are the others; `failures` say why, a sentence each."""

    def __init__(self, written: Mapping[str, Path], failures: Sequence[str], exit_code: ExitCode) -> None:
        self.written = written
        self.failures = tuple(failures)
        self.exit_code = exit_code
        super().__init__("\n".join(failures))


def write_reports(
    recording: Recording, verdict: Verdict, reporters: Sequence[Reporter] = REPORTERS
) -> Mapping[str, Path]:
    """Write every report, each atomically, and return their paths by file name.

    One that fails does not stop the others: ReportsIncompleteError (a RecordingError) is raised at the end, with the
    code of a refused write, or else of an internal error.
    """
    written: dict[str, Path] = {}
    failures: list[str] = []
    exit_code = ExitCode.INTERNAL
    for reporter in reporters:
        path = recording.folder / reporter.file_name
        try:
            write_atomically(path, reporter.render(recording, verdict))
        except RecordingError as error:
            failures.append(str(error))
            exit_code = error.exit_code
        except Exception as error:  # noqa: BLE001  a defect in one format must not cost the reader the other formats
            what = f"{type(error).__name__}: {error}"
            failures.append(f"{path}: the {reporter.name} report could not be made ({what}); the bundle is unharmed")
        else:
            written[reporter.file_name] = path
    if failures:
        raise ReportsIncompleteError(written, failures, exit_code)
    return written
