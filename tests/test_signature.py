"""Workers and Sources with unsuitable methods are refused when they are loaded."""

import json
from functools import partial, wraps

import pytest

from flowtools.errors import ConfigurationError
from flowtools.worker.signature import check, class_of

COROUTINE = (
    "its '{0}' is a coroutine function, which nothing awaits; write 'def {0}({1})',"
    " with asyncio.run(...) inside it"
)
ASYNC_GENERATOR = (
    "its '{0}' is an asynchronous generator, which nothing iterates over; write 'def {0}({1})',"
    " with asyncio.run(...) inside it"
)
GENERATOR = (
    "its '{0}' is a generator function, of which nothing would run; write 'def {0}({1})'"
    " without a yield"
)
FEW = "its '{0}' cannot be called with {2} (too many positional arguments); write 'def {0}({1})'"
MANY = (
    "its '{0}' cannot be called with {2} (missing a required argument: 'x'); write 'def {0}({1})'"
)

WORKERS = {
    "async def start(self, event): pass": COROUTINE.format("start", "self, event"),
    "async def start(self, event): yield": ASYNC_GENERATOR.format("start", "self, event"),
    "async def configure(self, config): pass": COROUTINE.format("configure", "self, config"),
    "def configure(self, config): yield": GENERATOR.format("configure", "self, config"),
    "async def clean_up(self): pass": COROUTINE.format("clean_up", "self"),
    "def clean_up(self): yield": GENERATOR.format("clean_up", "self"),
    "def start(self): pass": FEW.format("start", "self, event", "1 argument"),
    "def start(event): pass": FEW.format("start", "self, event", "1 argument"),
    "def start(self, event, x): pass": MANY.format("start", "self, event", "1 argument"),
    "def configure(self): pass": FEW.format("configure", "self, config", "1 argument"),
    "def clean_up(self, x): pass": MANY.format("clean_up", "self", "0 arguments"),
    "@staticmethod\n    def start(): pass": FEW.format("start", "self, event", "1 argument"),
}

SOURCES = {
    "async def run(self, emit): pass": COROUTINE.format("run", "self, emit"),
    "def run(self, emit): yield 1": GENERATOR.format("run", "self, emit"),
    "def run(self): pass": FEW.format("run", "self, emit", "1 argument"),
    "def run(self, emit, x): pass": MANY.format("run", "self, emit", "1 argument"),
    "async def __iter__(self): yield": ASYNC_GENERATOR.format("__iter__", "self"),
    "async def stop(self): pass": COROUTINE.format("stop", "self"),
    "def done(self, event): pass": FEW.format("done", "self, event, ok", "2 arguments"),
}


def class_with(text):
    inherited = "" if "start" in text else "    def start(self, event): pass\n"
    inherited += "" if "run" in text or "__iter__" in text else "    def run(self, emit): pass\n"
    return f"class X:\n{inherited}    {text}\n"


def made(text):
    names = {}
    exec(class_with(text), names)
    return names["X"]()


@pytest.mark.parametrize(
    ("what", "text", "complaint"),
    [
        *(("Worker", *each) for each in WORKERS.items()),
        *(("Source", *each) for each in SOURCES.items()),
    ],
)
def test_an_uncallable_method_is_refused_with_advice(what, text, complaint):
    with pytest.raises(ConfigurationError) as caught:
        check(what, made(text), "mine:X")
    assert str(caught.value) == f"cannot load {what} 'mine:X': {complaint}"


@pytest.mark.parametrize(
    "text",
    [
        "def start(self, event, *, seconds=5): pass",
        "def start(self, *args): pass",
        "def start(self, event=None): pass",
        "def start(self, event): yield event",
        "@staticmethod\n    def start(event): pass",
        "@classmethod\n    def start(cls, event): pass",
        "start = print",
        "start = dict().get",
        "configure = clean_up = None",
    ],
)
def test_every_callable_signature_is_accepted(text):
    check("Worker", made(text), "mine:X")


def test_the_signature_of_a_decorator_counts():
    def with_session(function):
        @wraps(function)
        def wrapper(self, event):
            return function(self, "session", event)

        return wrapper

    def running(function):
        @wraps(function)
        def wrapper(self, event):
            import asyncio

            return asyncio.run(function(self, event))

        return wrapper

    class Mine:
        @with_session
        def start(self, session, event):
            pass

    class Other:
        @running
        async def start(self, event):
            return event

    check("Worker", Mine(), "mine:Mine")
    check("Worker", Other(), "mine:Other")


def test_callable_objects_and_partial_functions_are_checked_too():
    class Called:
        async def __call__(self, event):
            pass

    async def tag(event, tag):
        pass

    for each in (Called(), partial(tag, tag=1)):
        with pytest.raises(ConfigurationError, match="it is a coroutine function"):
            check("Worker", class_of(each)(), "mine:tag")


@pytest.mark.parametrize("args", [(), ("--dry-run",), ("--isolation", "process")])
@pytest.mark.parametrize("text", [*WORKERS][:4])
def test_flow_work_ends_with_status_78_before_the_first_event(run, tmp_path, args, text):
    (tmp_path / "mine.py").write_text(class_with(text))
    status, out, err = run("flow-work", "mine:X", *args, input=b"1\n")
    assert (status, out) == (78, b"")
    assert err == f"flow-work: cannot load Worker 'mine:X': {WORKERS[text]}\n"


@pytest.mark.parametrize("text", SOURCES)
def test_flow_source_ends_with_status_78(run, tmp_path, text):
    (tmp_path / "mine.py").write_text(class_with(text))
    status, out, err = run("flow-source", "mine:X")
    assert (status, out) == (78, b"")
    assert err == f"flow-source: cannot load Source 'mine:X': {SOURCES[text]}\n"


def test_an_asynchronous_source_is_refused_with_advice(run, tmp_path):
    (tmp_path / "mine.py").write_text("class X:\n    async def __aiter__(self): yield 1\n")
    status, _, err = run("flow-source", "mine:X")
    assert status == 78
    assert err.endswith("needs a 'def run(self, emit)' with asyncio.run(...) inside it\n")


FUNCTIONS = """
from flowtools.source.local import STDIN

def double(event):
    return event.data * 2

double.SOURCE = STDIN

def few(): pass

async def later(event): pass
"""


@pytest.mark.parametrize("args", [(), ("--isolation", "process")])
def test_a_function_can_be_a_worker(run, tmp_path, args):
    (tmp_path / "mine.py").write_text(FUNCTIONS)
    status, out, err = run("flow-work", "mine:double", *args, input=b"2\n")
    assert (status, json.loads(out)["data"], err) == (0, 4, "")


def test_flow_run_accepts_a_function_with_a_source(run, tmp_path):
    (tmp_path / "mine.py").write_text(FUNCTIONS)
    status, out, err = run("flow-run", "mine:double", input=b"ab")
    assert (status, json.loads(out)["data"], err) == (0, "abab", "")


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("few", "it cannot be called with 1 argument (too many positional arguments); write"),
        ("later", "it is a coroutine function, which nothing awaits; write"),
    ],
)
@pytest.mark.parametrize("args", [("--dry-run",), ("--isolation", "process")])
def test_a_function_that_cannot_be_called_is_refused(run, tmp_path, name, complaint, args):
    (tmp_path / "mine.py").write_text(FUNCTIONS)
    status, _, err = run("flow-work", f"mine:{name}", *args, input=b"2\n")
    assert status == 78
    assert err.startswith(
        f"flow-work: cannot load Worker 'mine:{name}': {complaint} 'def {name}(event)'"
    )
