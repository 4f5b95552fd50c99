"""The age of the oldest of several keys, estimated from occasional looks."""

from flowtools.ack.ages import MARKS, Ages


def test_age_counts_from_the_first_look_that_saw_the_key():
    ages, things = Ages(), {1: "a"}
    assert ages.oldest(things, 5.0) == 0
    ages.look(things, 10.0)
    things[2] = "b"
    ages.look(things, 20.0)
    assert ages.oldest(things, 50.0) == 40
    del things[1]
    assert ages.oldest(things, 50.0) == 30
    things[3] = "c"
    del things[2]
    assert ages.oldest(things, 50.0) == 0
    ages.look(things, 60.0)
    assert ages.oldest(things, 61.0) == 1
    assert ages.oldest({}, 61.0) == 0


def test_a_key_that_comes_and_goes_between_two_looks_has_no_age():
    ages = Ages()
    for number in range(1, 100):
        ages.look({number: None}, float(number))
        assert ages.oldest({number + 1: None}, number + 0.5) == 0


def test_the_number_of_marks_is_bounded():
    ages, things = Ages(), {1: None}
    for number in range(2, 5 * MARKS):
        ages.look(things, float(number))
        things = {1: None, number: None}
    assert len(ages._marks) <= MARKS
    assert ages.oldest(things, 10_000.0) == 10_000 - 2
