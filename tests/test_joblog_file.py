"""The job log: its lines, what --resume reads from them, and faults that it survives."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import orjson
import pytest

from flowtools.errors import ConfigurationError
from flowtools.event import Event
from flowtools.pool.failed import FailedFile
from flowtools.pool.joblog import Done, JobLog, JobLogError
from flowtools.pool.outcome import Attempt, Outcome
from tests.conftest import KILLS, environment

EVENT = Event("flow.asset.created", {"x": 1}, source="s", id="i1", subject="asset")


def attempt(event=EVENT, outcome="done", **changes):
    made = Attempt(
        event, b"{}", 1, Outcome(outcome), 1, True, 0.25, 0.0123456789, 1760000000.1239, None
    )
    return made._replace(**changes)


def done_ids(path, known=("a", "b", "i1", "done", "skipped", "failed", "invalid", "x")):
    """The ids that the job log has as done, which must all be among `known`."""
    done = Done.read(path)
    found = {each for each in known if Event("t", source="s", id=each) in done}
    assert len(found) == len(done)
    return found


def lines(path):
    text = path.read_bytes()
    assert text.endswith(b"\n")
    return [orjson.loads(line) for line in text.splitlines()]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "log"


def test_an_attempt_is_one_line_with_all_its_fields(path):
    with JobLog(path, "mymod:Tag") as log:
        log.record(attempt())
    assert lines(path) == [
        {
            "id": "i1",
            "source": EVENT.source,
            "subject": "asset",
            "type": "flow.asset.created",
            "outcome": "done",
            "attempt": 1,
            "final": True,
            "queued": 0.25,
            "ran": 0.012345,
            "finished": "2025-10-09T08:53:20.123Z",
            "worker": "mymod:Tag",
            "error": None,
        }
    ]


def test_each_attempt_has_its_own_finish_time(path):
    with JobLog(path) as log:
        for finished in (1760000000.0, 1760000000.001, 1760000000.001, 1760000001.0):
            log.record(attempt(finished=finished))
    assert [line["finished"][-6:] for line in lines(path)] == [
        "0.000Z",
        "0.001Z",
        "0.001Z",
        "1.000Z",
    ]


def test_an_invalid_line_is_logged_without_an_id(path):
    with JobLog(path) as log:
        log.record(attempt(None, "invalid", error="not JSON"))
    (line,) = lines(path)
    assert (line["id"], line["outcome"], line["error"]) == (None, "invalid", "not JSON")


def test_an_error_with_invalid_unicode_is_logged(path):
    with JobLog(path) as log:
        log.record(attempt(outcome="failed", error="no file 'a\udcff\nb'"))
    (line,) = lines(path)
    assert (line["error"], line["attempt"], line["ran"]) == ("no file 'a?\nb'", 1, 0.012345)


def test_a_job_log_is_appended_to(path):
    for identity in ("a", "b"):
        with JobLog(path) as log:
            log.record(attempt(Event("t", source="s", id=identity)))
    assert [line["id"] for line in lines(path)] == ["a", "b"]


def test_a_torn_last_line_is_terminated_before_the_next_one(path):
    path.write_bytes(b'{"id":"a","outcome":"done"}\n{"id":"b","outco')
    with JobLog(path) as log:
        log.record(attempt())
    assert path.read_bytes().split(b"\n")[1] == b'{"id":"b","outco'
    assert done_ids(path) == {"a", "i1"}


def test_a_line_right_after_a_torn_one_is_recognised(path):
    path.write_bytes(b'{"id":"a","subject":"x{"id":"b","outcome":"done"}\n')
    assert done_ids(path) == {"b"}


def test_resume_knows_only_finished_events(path):
    with JobLog(path) as log:
        for outcome in ("done", "failed", "timeout", "rejected", "skipped", "cancelled"):
            log.record(attempt(Event("t", source="s", id=outcome), outcome))
        log.record(attempt(None, "invalid", error='"outcome":"done"'))
    assert done_ids(path) == {"done"}


def test_events_skipped_by_resume_are_one_line_at_the_end(path):
    with JobLog(path) as log:
        log.record(attempt(Event("t", source="s", id="a"), "skipped"))
        log.record(attempt(Event("t", source="s", id="b")))
        log.record(attempt(Event("t", source="s", id="c"), "skipped"))
    done, summary = lines(path)
    assert done["id"] == "b"
    assert (summary["outcome"], summary["events"], summary["id"]) == ("skipped", 2, None)
    assert done_ids(path) == {"b"}


def test_an_event_is_identified_by_source_and_id(path):
    with JobLog(path) as log:
        log.record(attempt(Event("t", source="one", id="1")))
    done = Done.read(path)
    assert Event("t", source="one", id="1") in done
    assert Event("t", source="other", id="1") not in done
    assert Event("t", source="one", id="2") not in done
    assert "1" not in done


def test_a_job_log_of_an_earlier_version_is_read(path):
    path.write_bytes(b'{"id":"1","subject":null,"type":"t","outcome":"done","final":true}\n')
    assert Event("t", source="any", id="1") in Done.read(path)
    assert Event("t", source="any", id="2") not in Done.read(path)


@pytest.mark.parametrize("name", ['"', "\\", "\n", "ä", "\udcff", ',"subject":', '","source":"x'])
def test_ids_and_sources_of_any_text_are_recognised(path, name):
    with JobLog(path) as log:
        log.record(attempt(Event("t", source=f"s{name}", id=name)))
    done = Done.read(path)
    assert Event("t", source=f"s{name}", id=name) in done
    assert Event("t", source="s", id=name) not in done


def test_a_job_log_reformatted_by_another_program_is_read(path):
    path.write_bytes(b'{"source": "s", "outcome":"done", "id": "1"}\n')
    assert Event("t", source="s", id="1") in Done.read(path)
    assert Event("t", source="x", id="1") not in Done.read(path)


def test_an_event_done_once_counts_as_done_despite_failures(path):
    with JobLog(path) as log:
        for outcome, final in (("failed", False), ("done", True), ("failed", True)):
            log.record(attempt(outcome=outcome, final=final))
    assert done_ids(path) == {"i1"}


def test_an_error_text_that_looks_like_an_outcome_does_not_make_an_event_done(path):
    with JobLog(path) as log:
        log.record(attempt(Event("t", source="s", id='","outcome":"done","x":"'), "failed"))
    path.write_bytes(
        path.read_bytes() + b'["outcome","done"]\n"outcome"\n{"outcome":"done","id":7}\n'
    )
    assert done_ids(path) == set()


def test_a_missing_job_log_has_no_finished_events(path):
    assert done_ids(path) == set()


def test_a_job_log_that_cannot_be_read_is_an_error(tmp_path):
    with pytest.raises(
        ConfigurationError, match=f"cannot read job log '{tmp_path}': Is a directory"
    ):
        done_ids(tmp_path)


@pytest.mark.parametrize("holds", [b"import os\n", b"[1]\n", b" ", b"\xff\xd8"])
def test_a_file_with_other_content_is_refused_and_left_unchanged(path, holds):
    path.write_bytes(holds)
    with pytest.raises(
        ConfigurationError, match=r"cannot open job log '.*': it holds something other"
    ):
        JobLog(path)
    assert path.read_bytes() == holds


@pytest.mark.parametrize("holds", [b"", b"{", b'{"id":"a","outc\n', b"\0\0\0", b"\n"])
def test_remains_of_a_kill_or_power_loss_are_accepted_as_a_job_log(path, holds):
    path.write_bytes(holds)
    with JobLog(path) as log:
        log.record(attempt())
    assert done_ids(path) == {"i1"}


def test_a_job_log_that_cannot_be_opened_is_an_error(tmp_path):
    with pytest.raises(ConfigurationError, match=r"cannot open job log '.*/no/log': No such file"):
        JobLog(tmp_path / "no" / "log")


def test_a_full_disk_is_an_error_that_names_the_file():
    from pathlib import Path

    with (
        JobLog(Path("/dev/full")) as log,
        pytest.raises(JobLogError, match="cannot write job log '/dev/full': No space left"),
    ):
        log.record(attempt())


def test_a_partly_written_line_is_removed_when_the_disk_is_full(path):
    script = """
import sys, resource, signal
from pathlib import Path
from flowtools.pool.joblog import JobLog, JobLogError
from tests.test_joblog_file import attempt
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
log = JobLog(Path(sys.argv[1]))
log.record(attempt())
size = Path(sys.argv[1]).stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 50, resource.RLIM_INFINITY))
try:
    log.record(attempt())
except JobLogError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.record(attempt())
"""
    ended = subprocess.run(
        [sys.executable, "-c", script, path], env=environment(PYTHONPATH="."), capture_output=True
    )
    assert b"cannot write job log" in ended.stdout, ended.stderr
    assert len(lines(path)) == 2


def test_after_a_rotation_lines_go_to_the_new_file(path, tmp_path):
    with JobLog(path) as log:
        log.record(attempt())
        path.rename(tmp_path / "old")
        log.record(attempt())
        log.reopen()
        log.record(attempt())
    assert (len(lines(tmp_path / "old")), len(lines(path))) == (2, 1)


def test_lines_of_concurrent_threads_stay_whole(path):
    with JobLog(path) as log:
        threads = [
            threading.Thread(target=lambda: [log.record(attempt()) for _ in range(500)])
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(lines(path)) == 4000


WRITER = """
import os, sys
from pathlib import Path
from flowtools.event import Event
from flowtools.pool.joblog import JobLog
from tests.test_joblog_file import attempt
log = JobLog(Path(sys.argv[1]))
for number in range(10**9):
    log.record(attempt(Event("t", source="s", id=f"{os.getpid()}-{number}", subject="x" * 500)))
    os.write(1, b"%d\\n" % number)
"""


def test_processes_killed_at_any_moment_leave_all_completed_events_in_the_log(path):
    for _ in range(KILLS):
        started = [
            subprocess.Popen(
                [sys.executable, "-c", WRITER, path],
                env=environment(PYTHONPATH="."),
                stdout=subprocess.PIPE,
            )
            for _ in range(2)
        ]
        completed = {}
        for process in started:
            last = [process.stdout.readline() for _ in range(100)][-1]
            process.send_signal(signal.SIGKILL)
            completed[process.pid] = int([last, *process.stdout][-1])
            process.stdout.close()
            process.wait()
        for pid, last in completed.items():
            done = Done.read(path)
            for number in range(last + 1):
                assert Event("t", source="s", id=f"{pid}-{number}") in done


@pytest.mark.parametrize("kind", [FailedFile, JobLog])
def test_a_relative_path_stays_where_it_was_when_the_working_directory_changes(
    kind, tmp_path, monkeypatch
):
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    for folder in (here, elsewhere):
        folder.mkdir()
        (folder / "file").touch()
    monkeypatch.chdir(here)
    with kind(Path("file")) as file:
        monkeypatch.chdir(elsewhere)
        file.append(b'{"n":1}\n')
        file.reopen()
        file.append(b'{"n":2}\n')
    assert (here / "file").read_bytes() == b'{"n":1}\n{"n":2}\n'
    assert (elsewhere / "file").read_bytes() == b""
