"""The states of an effect."""

from sidecar.effects.effect_states import TRANSITIONS, EffectState


def test_each_but_the_first_has_a_counter() -> None:
    assert EffectState.DONE.counter == "effects_done"
    assert len({state.counter for state in EffectState}) == len(EffectState)


def test_what_has_happened_never_happens_again() -> None:
    for ended in (EffectState.DONE, EffectState.DROPPED):
        assert not any(before is ended for before, _, _ in TRANSITIONS)


def test_only_a_person_brings_a_dead_one_back() -> None:
    back = {by for before, after, by in TRANSITIONS if before is EffectState.DEAD and after}
    assert back == {"replay_effect.lua"}
