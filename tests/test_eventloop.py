"""Asynchronous code of a Worker ends at the time-out, although its thread waits for its loop."""

import asyncio

import pytest

from flowtools.testing import run_worker
from flowtools.worker import Reject, Retry, Unavailable

ended = []


class Runs:
    """Waits longer than its time-out, in an event loop."""

    def start(self, event):
        return asyncio.run(self.work(event))

    async def work(self, event):
        try:
            await asyncio.sleep(60 if event.data == "hang" else 0)
        finally:
            ended.append(event.data)
        return event.data


class OwnLoop(Runs):
    def start(self, event):
        loop = asyncio.new_event_loop()
        try:
            return loop.run_until_complete(asyncio.sleep(60 if event.data == "hang" else 0, 1))
        finally:
            loop.close()


class WaitsFor(Runs):
    async def work(self, event):
        await asyncio.wait_for(asyncio.sleep(60 if event.data == "hang" else 0), 50)


class Foreign(asyncio.SelectorEventLoop):
    """A loop whose methods are the user's code, which the watchdog must not run."""

    def call_soon_threadsafe(self, callback, *args, context=None):
        raise AssertionError


class OwnClass(Runs):
    def start(self, event):
        with asyncio.Runner(loop_factory=Foreign) as runner:
            runner.run(asyncio.sleep(1.5 if event.data == "hang" else 0))


@pytest.mark.parametrize("worker", [Runs, OwnLoop, WaitsFor])
def test_a_time_out_ends_an_event_loop(worker, caplog):
    ran = run_worker(worker, "hang", "quick", timeout=0.3, grace=30.0)
    assert ran.outcomes == ["timeout", "done"]
    assert "stuck" not in caplog.text


def test_a_time_out_cancels_the_tasks_of_a_loop():
    ended.clear()
    run_worker(Runs, "hang", timeout=0.3, grace=30.0)
    assert ended == ["hang"]


def test_a_loop_of_a_class_of_the_users_own_is_left_alone():
    ran = run_worker(OwnClass, "hang", "quick", timeout=0.3, grace=0.1)
    assert ran.outcomes == ["timeout", "done"]


async def fail(error):
    raise error


def in_tasks(*errors):
    async def work():
        async with asyncio.TaskGroup() as tasks:
            for error in errors:
                tasks.create_task(fail(error))

    asyncio.run(work())


@pytest.mark.parametrize(
    ("errors", "outcome", "tries"),
    [
        ([Retry("busy", 3), Retry("busy", 5)], "failed", 11),
        ([Reject("bad"), ExceptionGroup("more", [Reject("worse")])], "rejected", 1),
        ([Reject("bad"), ValueError("odd")], "failed", 1),
        ([Retry("busy", 3), ValueError("odd")], "failed", 1),
        ([ValueError("odd"), KeyError("odder")], "failed", 1),
    ],
)
def test_a_group_of_exceptions_has_the_effect_of_its_members_if_it_is_the_same(
    errors, outcome, tries
):
    ran = run_worker(lambda event: in_tasks(*errors), 1)
    assert (ran.outcomes, ran.tries()) == ([outcome], tries)
    assert set(ran.waits) == ({5.0} if tries > 1 else set())


def test_a_group_of_outages_pauses_the_pool():
    answers = iter([[Unavailable("down", 7), Unavailable("down", 2)], []])
    ran = run_worker(lambda event: in_tasks(*next(answers)), 1)
    assert (ran.outcomes, ran.waits) == (["done"], (7.0,))
