from __future__ import annotations

from prefactor_agent.core.text import count, cut_text, well_formed


def test_the_word_agrees_with_the_number() -> None:
    assert [count(number, "call") for number in (0, 1, 2000)] == [
        "0 calls",
        "1 call",
        "2,000 calls",
    ]
    assert count(2, "entry", "entries") == "2 entries"


def test_what_is_missing_adds_up_when_a_text_is_cut_again() -> None:
    text = "x" * 100
    once = cut_text(text, 60)
    assert once == "x" * 60 + "… [40 more characters]"
    assert cut_text(once, 60) == once
    assert cut_text(once, 10) == cut_text(text, 10) == "x" * 10 + "… [90 more characters]"
    assert cut_text(text, 100) is text


def test_half_a_pair_becomes_the_sign_for_no_character_and_two_halves_become_one() -> None:
    assert well_formed("a\ud83d") == "a\ufffd"
    assert well_formed("\ud83d\ude00") == "\U0001f600"
    assert well_formed("caf\u00e9") == "caf\u00e9"
