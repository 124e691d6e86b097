"""The rules that explain a difference."""

from sidecar.shadow.rules import SENTENCES, UNEXPLAINED, Class, Rule


def test_every_rule_has_a_sentence_of_its_own() -> None:
    assert set(SENTENCES) == set(Rule)
    assert len(set(SENTENCES.values())) == len(Rule)
    for sentence in SENTENCES.values():
        assert sentence[0].isupper()
        assert sentence.endswith(".")


def test_what_no_rule_explains_stands_in_the_way() -> None:
    assert set(Class) - set(UNEXPLAINED) == {Class.EQUAL, Class.EXPLAINED}
