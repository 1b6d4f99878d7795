"""Questions: each is asked where a study has its methods, whatever their labels, and nowhere else."""

import pytest

from multimep.questions import STANDARD, Question, QuestionError, by_usual_labels, standard


def test_a_method_is_found_by_its_entry_and_the_settings_that_matter() -> None:
    methods = {
        "gp": ("site_gp", {"expectation": True, "warp": True}),
        "gp_plain": ("site_gp", {"expectation": False, "warp": True, "prior": "weak"}),
        "shared": ("shared_prior_gp", {"identity": 0.3}),
        "tuned": ("fine_tune", {"epochs": 3}),
        "types": ("fine_tune_together", {"scope": "group"}),
    }
    assert {(one.method, one.baseline) for one in standard(methods)} == {("shared", "gp_plain"), ("types", "tuned")}


def test_a_usual_label_wins_over_another_of_the_same_method() -> None:
    methods = {"long": ("fine_tune", {}), "fine_tune": ("fine_tune", {}), "embedding_gp": ("embedding_gp", {})}
    assert [one.baseline for one in standard(methods)] == ["fine_tune"]


def test_a_study_without_the_methods_is_asked_nothing() -> None:
    assert standard({"additive": ("additive", {})}) == ()
    assert by_usual_labels(["additive", "fine_tune"]) == ()


def test_usual_labels_ask_every_standard_question() -> None:
    labels = [arm.usual for one in STANDARD for arm in (one.method, one.baseline)]
    assert [one.text for one in by_usual_labels(labels)] == [one.text for one in STANDARD]


def test_a_stack_is_held_against_those_of_its_members_that_stand_in_the_study() -> None:
    inside = {"site_gp": {}, "ridge": {"method": "one_hot_ridge"}, "elsewhere": {}}
    methods = {"all": ("stack", {"of": inside}), "site_gp": ("site_gp", {}), "ridge": ("one_hot_ridge", {})}
    (asked,) = standard(methods)
    assert (asked.method, asked.rivals, asked.text) == (
        "all", ("site_gp", "ridge"), "Is all better than its best member?"
    )  # fmt: skip
    assert standard({"all": ("stack", {"of": inside})}) == ()


def test_a_question_has_words_and_is_not_about_one_method() -> None:
    assert Question("a", "b").text == "Is a better than b?"
    with pytest.raises(QuestionError, match="a is held against itself; name another baseline"):
        Question("a", "a")
