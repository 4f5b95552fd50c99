"""flow-interval: ticks, windows, cron times, and misbehaving clocks."""

import importlib.resources
import json
import signal
import time
from calendar import monthrange
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtools.core.lines import LineWriter
from flowtools.core.wait import Stop
from flowtools.errors import ConfigurationError, UsageError
from flowtools.source.clock import Clock
from flowtools.source.cron import nearest_weekday
from flowtools.source.daytime import Window, local_zone, zone
from flowtools.source.interval import Interval
from flowtools.source.schedule import Cron, Every
from tests.running import SECONDS

OSLO = ZoneInfo("Europe/Oslo")


class FakeClock(Clock):
    """A clock that jumps ahead instead of waiting, a little late each time, for `seconds` seconds.

    `jumps` are {seconds since the start: seconds by which the wall clock is set}.
    """

    def __init__(self, start, seconds, *, late=0.0, jumps=None, zone=UTC):
        self.wall = datetime.fromisoformat(start).replace(tzinfo=zone).timestamp()
        self.passed = 0.0
        self.seconds = seconds
        self.late = late
        self.jumps = sorted((jumps or {}).items())
        self.waits = 0

    def time(self):
        return self.wall

    def monotonic(self):
        return 5000.0 + self.passed

    def wait(self, seconds, stop, outlet):
        self.waits += 1
        self.move(max(seconds, 1e-6) + self.late)
        if self.passed >= self.seconds:
            stop.set()
        return stop.is_set()

    def move(self, seconds):
        self.passed += seconds
        self.wall += seconds
        while self.jumps and self.passed >= self.jumps[0][0]:
            self.wall += self.jumps.pop(0)[1]


class Memory:
    """An outlet that keeps events; `stalled` says, by event number, when its reader stalls."""

    def __init__(self, stalled=lambda: False):
        self.events = []
        self._stalled = stalled

    def emit(self, event):
        self.events.append(event)

    def flush(self):
        pass

    def fileno(self):
        raise AssertionError("the fake clock waits for no descriptor")

    def unread(self):
        return 100 if self._stalled() else 0


def ticks(clock, seconds=None, *, outlet=None, **options):
    outlet = outlet or Memory()
    stop = Stop()
    try:
        Interval(seconds, clock=clock, **options).run(outlet, stop)
    finally:
        stop.close()
    return outlet.events


def clock_times(events, zone=UTC):
    return [datetime.fromisoformat(e.time).astimezone(zone).strftime("%d %H:%M:%S") for e in events]


def test_the_first_tick_is_immediate_and_later_ones_do_not_drift():
    clock = FakeClock("2026-01-01T12:00:00", 999.5, late=0.004)
    events = ticks(clock, 1)
    start = datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp()
    assert len(events) == 1000
    assert [datetime.fromisoformat(e.time).timestamp() - start for e in events] == list(range(1000))


def test_a_tick_has_its_number_its_schedule_and_the_skipped_count():
    (event,) = ticks(FakeClock("2026-01-01T12:00:00", 10), 60, count=1)
    assert event.attributes == {
        "specversion": "1.0",
        "id": event.id,
        "source": "flow-interval",
        "type": "flow.interval.tick",
        "subject": "60s",
        "time": "2026-01-01T12:00:00.000Z",
        "datacontenttype": "application/json",
        "data": {"number": 1, "skipped": 0},
    }


def test_the_name_becomes_the_subject():
    (event,) = ticks(FakeClock("2026-01-01T12:00:00", 10), 60, count=1, name="sweep")
    assert event.subject == "sweep"


def test_count_ends_the_interval():
    assert len(ticks(FakeClock("2026-01-01T12:00:00", 1000), 1, count=7)) == 7


def test_ticks_for_a_stalled_reader_are_skipped_and_counted_in_the_next():
    clock = FakeClock("2026-01-01T12:00:00", 9.5)
    outlet = Memory(stalled=lambda: 3 <= clock.passed < 6)
    events = ticks(clock, 1, outlet=outlet)
    assert [(e["number"], e["skipped"]) for e in events] == [
        (1, 0),
        (2, 0),
        (3, 0),
        (4, 3),
        (5, 0),
        (6, 0),
        (7, 0),
    ]


def test_a_full_pipe_does_not_hold_back_the_first_tick():
    clock = FakeClock("2026-01-01T12:00:00", 3.5)
    assert len(ticks(clock, 1, outlet=Memory(stalled=lambda: True))) == 1


def test_ticks_missed_while_frozen_are_counted_and_not_repeated():
    clock = FakeClock("2026-01-01T12:00:00", 8.5)
    frozen = clock.wait

    def wait(seconds, stop, outlet):
        if clock.passed == 2:
            clock.move(3.4)
        return frozen(seconds, stop, outlet)

    clock.wait = wait
    events = ticks(clock, 1)
    assert clock_times(events) == [f"01 12:00:0{s}" for s in (0, 1, 2, 6, 7, 8)]
    assert [e["skipped"] for e in events] == [0, 0, 0, 3, 0, 0]


@pytest.mark.parametrize("jump", [-7200, -1, 1, 7200])
def test_setting_the_wall_clock_neither_stops_nor_floods_an_interval(jump):
    clock = FakeClock("2026-01-01T12:00:00", 599.5, jumps={300.5: jump})
    events = ticks(clock, 1)
    assert len(events) == 600
    assert len({e.id for e in events}) == 600
    assert {e["skipped"] for e in events} == {0}


def test_an_interval_ticks_when_its_window_opens_and_only_inside_it():
    clock = FakeClock("2026-01-01T20:30:30", 2 * 86400)
    events = ticks(clock, 7200, window=Window.parse("22:00-03:00"), tz=UTC)
    assert clock_times(events) == [
        "01 22:00:00",
        "02 00:00:00",
        "02 02:00:00",
        "02 22:00:00",
        "03 00:00:00",
        "03 02:00:00",
    ]


def test_an_interval_longer_than_its_window_ticks_each_time_the_window_opens():
    clock = FakeClock("2026-01-01T12:00:00", 3 * 86400)
    events = ticks(clock, 5 * 86400, window=Window.parse("22:00-"), tz=UTC)
    assert clock_times(events) == ["01 22:00:00", "02 22:00:00", "03 22:00:00"]


def test_a_window_opens_right_after_the_hour_skipped_by_summer_time():
    clock = FakeClock("2026-03-29T01:00:00", 3600 * 4, zone=OSLO)
    events = ticks(clock, 1200, window=Window.parse("02:30-03:30"), tz=OSLO)
    assert clock_times(events, OSLO) == ["29 03:00:00", "29 03:20:00"]


def test_a_window_inside_the_repeated_hour_opens_twice():
    clock = FakeClock("2026-10-25T01:00:00", 3600 * 4, zone=OSLO)
    events = ticks(clock, 1200, window=Window.parse("02:00-02:30"), tz=OSLO)
    assert clock_times(events) == ["25 00:00:00", "25 00:20:00", "25 01:00:00", "25 01:20:00"]


def test_setting_the_clock_into_a_window_opens_it_within_seconds():
    clock = FakeClock("2026-01-01T12:00:00", 120, jumps={60: 3600 * 10.5})
    events = ticks(clock, 3600, window=Window.parse("22:00-04:00"), tz=UTC)
    assert len(events) == 1
    assert clock_times(events)[0] <= "01 22:31:10"


def test_cron_ticks_at_its_times_and_not_at_the_start():
    clock = FakeClock("2026-01-01T11:58:30", 900)
    events = ticks(clock, cron="*/5 * * * *", tz=UTC)
    assert clock_times(events) == ["01 12:00:00", "01 12:05:00", "01 12:10:00"]
    assert [e.subject for e in events] == ["*/5 * * * *"] * 3


def test_a_sixth_leading_field_means_seconds():
    clock = FakeClock("2026-01-01T12:00:10", 55)
    assert clock_times(ticks(clock, cron="*/20 * * * * *", tz=UTC)) == [
        "01 12:00:20",
        "01 12:00:40",
        "01 12:01:00",
    ]


@pytest.mark.parametrize(
    ("expression", "start", "expected"),
    [
        ("30 2 * * *", "2026-03-29T01:00", ["29 01:00:00"]),
        ("30 2 * * *", "2026-10-25T01:00", ["25 00:30:00"]),
        ("*/30 * * * *", "2026-03-29T01:45", ["29 01:00:00", "29 01:30:00", "29 02:00:00"]),
        (
            "*/30 2 * * *",
            "2026-10-25T01:45",
            ["25 00:00:00", "25 00:30:00", "25 01:00:00", "25 01:30:00"],
        ),
    ],
    ids=["gap", "repeat", "often in the gap", "often in the repeat"],
)
def test_cron_follows_debian_when_summer_time_begins_or_ends(expression, start, expected):
    clock = FakeClock(start, 3600 * 2.9, zone=OSLO)
    got = clock_times(ticks(clock, cron=expression, tz=OSLO, count=len(expected)))
    assert got == expected


@pytest.mark.parametrize(
    ("expression", "start", "expected"),
    [
        ("@hourly", "2026-01-01T10:30", ["01 11:00", "01 12:00"]),
        ("@daily", "2026-01-01T10:30", ["02 00:00", "03 00:00"]),
        ("@Weekly", "2026-01-01T10:30", ["04 00:00", "11 00:00"]),
        ("@monthly", "2026-01-01T10:30", ["01 00:00", "01 00:00"]),
        ("@yearly", "2026-12-01T10:30", ["01 00:00"]),
        (
            "0 22-1 * * *",
            "2026-01-01T21:30",
            ["01 22:00", "01 23:00", "02 00:00", "02 01:00", "02 22:00"],
        ),
        ("0 20-4/4 * * *", "2026-01-01T12:30", ["01 20:00", "02 00:00", "02 04:00"]),
        (
            "0 9 * * FRI-MON",
            "2026-01-01T10:30",
            ["02 09:00", "03 09:00", "04 09:00", "05 09:00", "09 09:00"],
        ),
        ("0 9 1 NOV-FEB *", "2026-01-15T00:00", ["01 09:00", "01 09:00", "01 09:00"]),
        ("0 9 15W * *", "2026-01-01T00:00", ["15 09:00", "16 09:00", "16 09:00", "15 09:00"]),
        ("0 9 1W,31W * *", "2026-01-02T00:00", ["30 09:00", "02 09:00", "02 09:00", "31 09:00"]),
    ],
)
def test_cron_supports_names_wrapping_ranges_and_nearest_weekdays(expression, start, expected):
    clock = FakeClock(start, 0)
    cron = Cron(expression, clock, UTC)
    got = []
    for _ in expected:
        clock.wall = cron.next()
        got.append(datetime.fromtimestamp(cron.due().instant, UTC).strftime("%d %H:%M"))
    assert got == expected


@given(
    st.integers(min_value=2000, max_value=2100),
    st.integers(min_value=1, max_value=12),
    st.integers(min_value=1, max_value=31),
)
def test_the_nearest_weekday_is_the_closest_one_of_its_month(year, month, day):
    found = nearest_weekday(year, month, day)
    last = monthrange(year, month)[1]
    if day > last:
        assert found is None
        return
    weekdays = [d for d in range(1, last + 1) if date(year, month, d).weekday() < 5]
    assert found in weekdays
    assert abs(found - day) == min(abs(each - day) for each in weekdays)


def test_a_window_inside_the_skipped_hour_is_open_right_after_it():
    window = Window.parse("02:00-02:45")
    for day, expected in [(28, "28 02:30:00"), (29, "29 03:00:00"), (30, "30 02:30:00")]:
        clock = FakeClock(f"2026-03-{day}T01:50:00", 3600 * 2, zone=OSLO)
        events = ticks(clock, cron="30 2 * * *", window=window, tz=OSLO)
        assert clock_times(events, OSLO) == [expected]
    clock = FakeClock("2026-03-29T01:00:00", 3600 * 4, zone=OSLO)
    events = ticks(clock, 1200, window=window, tz=OSLO)
    assert clock_times(events, OSLO) == ["29 03:00:00", "29 03:20:00", "29 03:40:00"]
    clock = FakeClock("2026-03-29T01:00:00", 3600 * 4, zone=OSLO)
    assert ticks(clock, cron="*/30 * * * *", window=Window.parse("02:50-03:10"), tz=OSLO)


def test_verbose_reports_when_the_next_tick_is_due(start):
    process = start("flow-interval", "-v", "--cron", "@yearly", "--tz", "Europe/Oslo")
    year = datetime.now(OSLO).year + 1
    said = process.stderr.readline().decode()
    assert said == f"flow-interval: the next tick is due at {year}-01-01T00:00:00+01:00\n"


def test_the_next_tick_is_the_first_inside_the_window():
    clock = FakeClock("2026-01-01T12:00:00", 60)
    window = Window.parse("22:00-04:00")
    following = Cron("0 */3 * * *", clock, UTC, window).next()
    assert datetime.fromtimestamp(following, UTC).isoformat() == "2026-01-02T00:00:00+00:00"
    opening = Every(900, clock, window, UTC).next()
    assert datetime.fromtimestamp(opening, UTC).isoformat() == "2026-01-01T22:00:00+00:00"


def test_cron_started_in_the_repeated_hour_does_not_tick_for_the_first_one():
    clock = FakeClock("2026-10-25T01:10:00", 3600 * 2, zone=UTC)
    assert ticks(clock, cron="30 2 * * *", tz=OSLO) == []


def test_cron_ticks_only_inside_its_window():
    clock = FakeClock("2026-01-01T12:00:00", 86400)
    events = ticks(clock, cron="0 */3 * * *", window=Window.parse("22:00-07:00"), tz=UTC)
    assert clock_times(events) == ["02 00:00:00", "02 03:00:00", "02 06:00:00"]
    assert {e["skipped"] for e in events} == {0}


def test_a_late_cron_tick_waits_until_the_window_opens_again():
    clock = FakeClock("2026-01-01T23:59:55", 86400, jumps={4: 3600 * 9})
    events = ticks(clock, cron="0 0 * * *", window=Window.parse("22:00-04:00"), tz=UTC, count=1)
    assert clock_times(events) == ["02 00:00:00"]
    assert clock.time() == datetime(2026, 1, 2, 22, tzinfo=UTC).timestamp()


def test_setting_the_clock_forward_emits_one_cron_tick_and_counts_the_others():
    clock = FakeClock("2026-01-01T12:00:30", 100, jumps={20: 3600})
    events = ticks(clock, cron="* * * * *", tz=UTC)
    assert clock_times(events) == ["01 13:00:00", "01 13:01:00", "01 13:02:00"]
    assert [e["skipped"] for e in events] == [59, 0, 0]


def test_a_clock_leap_over_years_quickly_emits_one_tick():
    clock = FakeClock("1970-01-01T00:00:30", 40, jumps={20: 56 * 365 * 86400})
    began = time.monotonic()
    events = ticks(clock, cron="* * * * *", tz=UTC)
    assert [e["skipped"] > 1000 for e in events] == [True, False]
    assert time.monotonic() - began < 30  # 29 million ticks, one by one: ten minutes.


@pytest.mark.parametrize("hours", [2, 24 * 365])
def test_setting_the_clock_back_continues_with_the_ids_of_that_time(hours):
    clock = FakeClock("2026-01-01T12:00:30", 300, jumps={130: -3600 * hours})
    events = ticks(clock, cron="* * * * *", tz=UTC)
    assert len(events) == 5
    again = FakeClock("2026-01-01T12:00:30", 300, jumps={130: -3600 * hours})
    assert [e.id for e in ticks(again, cron="* * * * *", tz=UTC)] == [e.id for e in events]


def test_a_small_step_back_does_not_repeat_a_cron_tick():
    clock = FakeClock("2026-01-01T12:00:50", 100, jumps={12: -5})
    events = ticks(clock, cron="* * * * *", tz=UTC)
    assert clock_times(events) == ["01 12:01:00", "01 12:02:00"]


def test_the_id_of_a_cron_tick_depends_only_on_its_time_and_name():
    def first(start, name):
        clock = FakeClock(start, 900)
        return ticks(clock, cron="*/5 * * * *", tz=UTC, count=1, name=name)[0].id

    assert first("2026-01-01T11:58:30", "a") == first("2026-01-01T11:56:01", "a")
    assert first("2026-01-01T11:58:30", "a") != first("2026-01-01T11:58:30", "b")
    assert first("2026-01-01T11:58:30", "a") != first("2026-01-01T12:01:00", "a")


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("22:00-04:00", ["22:00", "23:59", "00:00", "03:59"], ["04:00", "12:00", "21:59"]),
        ("08:15-17:30", ["08:15", "17:29"], ["08:14", "17:30", "00:00"]),
        ("22:00-", ["22:00", "23:59"], ["00:00", "21:59"]),
        ("22:00-24:00", ["22:00", "23:59"], ["00:00", "21:59"]),
        ("-06:00", ["00:00", "05:59"], ["06:00", "23:59"]),
    ],
)
def test_a_window_includes_its_start_and_excludes_its_end(text, inside, outside):
    def is_open(shown):
        return datetime.fromisoformat(f"2026-01-01T{shown}") in Window.parse(text)

    assert [is_open(shown) for shown in inside] == [True] * len(inside)
    assert [is_open(shown) for shown in outside] == [False] * len(outside)


CLOCK_TIMES = st.times().map(lambda t: f"{t.hour:02}:{t.minute:02}")


@given(CLOCK_TIMES, CLOCK_TIMES, st.datetimes())
def test_every_moment_is_either_in_a_window_or_in_its_complement(a, b, moment):
    if a != b:
        window, rest = Window.parse(f"{a}-{b}"), Window.parse(f"{b}-{a}")
        assert (moment in window) != (moment in rest)


@pytest.mark.parametrize(
    "text", ["", "-", "22", "22:00", "25:00-04:00", "22-04", "1:00-2:00", "x-"]
)
def test_a_malformed_window_is_refused(text):
    with pytest.raises(UsageError, match="is not a window: write 22:00-04:00, 22:00- or -06:00"):
        Window.parse(text)


@pytest.mark.parametrize("text", ["22:00-22:00", "00:00-", "-24:00"])
def test_a_window_that_ends_when_it_starts_is_refused(text):
    with pytest.raises(UsageError, match="ends when it starts"):
        Window.parse(text)


@pytest.mark.parametrize(
    ("tz", "hours"),
    [("Europe/Oslo", 2), (":Europe/Oslo", 2), ("", 0), ("/{}/Asia/Tokyo", 9)],
)
def test_the_local_time_zone_comes_from_the_environment(monkeypatch, tz, hours):
    data = importlib.resources.files("tzdata") / "zoneinfo"
    monkeypatch.setenv("TZ", tz.replace("/{}", str(data)))
    offset = datetime(2026, 7, 1, tzinfo=local_zone()).utcoffset()
    assert offset.total_seconds() == hours * 3600


def test_without_tz_the_time_zone_is_that_of_the_c_library(monkeypatch):
    monkeypatch.delenv("TZ", raising=False)
    time.tzset()
    offset = datetime.fromtimestamp(1_780_000_000, local_zone()).utcoffset()
    assert offset.total_seconds() == time.localtime(1_780_000_000).tm_gmtoff


def test_a_time_zone_known_only_to_the_c_library_is_refused(monkeypatch):
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    with pytest.raises(ConfigurationError, match="name one with --tz"):
        local_zone()


@pytest.mark.parametrize("name", ["Mars/Olympus", "../passwd", "/etc/passwd", "", "Europe"])
def test_an_unknown_time_zone_is_a_usage_error(name):
    with pytest.raises(UsageError, match=f"there is no time zone '{name}'"):
        zone(name)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "give either SECONDS or a cron expression"),
        (["5", "--cron", "* * * * *"], "give either SECONDS or a cron expression"),
        (["0"], "invalid interval of 0 seconds: expected 0.001 or more"),
        (["nan"], "invalid value for '[SECONDS]': 'nan' is not a finite number"),
        (["inf"], "invalid value for '[SECONDS]': 'inf' is not a finite number"),
        (
            ["soon"],
            (
                "invalid value for '[SECONDS]': 'soon' is not a length of time such as 90, 90s,"
                " 5m, 2h or 1h30m"
            ),
        ),
        (
            ["--cron", "99 * * * *"],
            (
                "'99 * * * *' is not a cron expression: bad minute; "
                "write five fields such as '*/5 * * * *'"
            ),
        ),
        (
            ["--cron", "0 0 29 2 MON#6"],
            (
                "'0 0 29 2 MON#6' is not a cron expression: bad day-of-week; "
                "write five fields such as '*/5 * * * *'"
            ),
        ),
        (
            ["--cron", "@often"],
            (
                "'@often' is not a cron expression: expected five fields, or one of @yearly,"
                " @annually, @monthly, @weekly, @daily, @midnight, @hourly"
            ),
        ),
        (
            ["--cron", "0 9 15W * MON"],
            (
                "'0 9 15W * MON' is not a cron expression: with a day such as 15W the day of the"
                " week must be *"
            ),
        ),
        (
            ["1", "--window", "22"],
            (
                "invalid value for '--window': '22' is not a window: write 22:00-04:00, 22:00- or"
                " -06:00"
            ),
        ),
        (
            ["1", "--tz", "Mars/Olympus"],
            (
                "invalid value for '--tz': there is no time zone 'Mars/Olympus'; "
                "write Europe/Oslo or UTC, or install tzdata"
            ),
        ),
    ],
)
def test_meaningless_arguments_are_a_one_line_usage_error(run, args, message):
    expected = f"flow-interval: {message}; try 'flow-interval --help'\n"
    assert run("flow-interval", *args) == (2, b"", expected)


def test_an_undeterminable_time_zone_is_a_configuration_error(run):
    status, out, err = run("flow-interval", "1", "--window", "22:00-", env={"TZ": "X-1Y"})
    assert (status, out) == (78, b"")
    assert err == ("flow-interval: cannot tell the time zone from TZ 'X-1Y'; name one with --tz\n")


def test_the_command_ticks_and_ends_after_its_count(run):
    status, out, err = run("flow-interval", "0.02", "--count", "3", "--name", "quick")
    events = [json.loads(line) for line in out.splitlines()]
    assert (status, err) == (0, "")
    assert [e["subject"] for e in events] == ["quick"] * 3
    assert [e["data"]["number"] for e in events] == [1, 2, 3]


def test_the_command_accepts_cron_with_a_time_zone(run):
    status, out, err = run(
        "flow-interval", "--cron", "* * * * * *", "--tz", "Asia/Tokyo", "--count", "1"
    )
    assert (status, err) == (0, "")
    assert json.loads(out)["time"].endswith(".000Z")


def test_a_stalled_reader_gets_one_tick_and_then_the_skipped_count(start):
    process = start("flow-interval", "0.01")
    unread = LineWriter(process.stdout.fileno()).unread
    first = process.stdout.readline()
    deadline = time.monotonic() + SECONDS
    skipped = 0
    while not skipped:
        assert time.monotonic() < deadline
        stalled_until = time.monotonic() + 0.1
        while time.monotonic() < stalled_until:
            assert unread() < 2 * len(first)
        skipped = json.loads(process.stdout.readline())["data"]["skipped"]


def test_a_closed_reader_quietly_ends_a_long_wait(start):
    process = start("flow-interval", "3600")
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=SECONDS) == -signal.SIGPIPE
    assert process.stderr.read() == b""


def test_a_closed_reader_ends_the_wait_for_a_window(start):
    process = start("flow-interval", "--cron", "0 0 29 2 *", "--tz", "UTC")
    process.stdout.close()
    assert process.wait(timeout=SECONDS) == -signal.SIGPIPE


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_long_wait_immediately(start, signum):
    process = start("flow-interval", "3600")
    process.stdout.readline()
    process.send_signal(signum)
    assert process.wait(timeout=SECONDS) == -signum
    assert process.stderr.read() == b""
