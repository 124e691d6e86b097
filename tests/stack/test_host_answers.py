"""Answers of the AI to messages that the host's own routine has stored: the contract holds there
too, though its rows do not say what SchemaEngine's say."""

import pytest

from tests.contract.caller import Caller
from tests.stack.main_flows import contract_tests

globals().update(
    contract_tests(
        ai_answers=(
            "vendor",
            "test_a_contact_may_do_without",
            "test_a_question_that_is_not_answered_comes_again",
            "test_an_answer_becomes_a_message",
            "test_the_same_answer_brings_the_same_message",
            "test_an_answer_that_was_given_up_is_not_sent_again",
            "test_a_newer_message_makes_it_stale",
            "test_a_persons_reply_makes_it_stale",
            "test_another_contacts_message_does_not",
            "test_a_campaigns_message_does_not",
            "test_a_bots_message_does_not",
            "test_a_failure_is_told_in_the_vendors_words",
        ),
        answering=(
            "test_what_nobody_answers_makes_no_answer_stale",
            "test_a_persons_reaction_makes_no_answer_stale",
        ),
    )
)


@pytest.fixture
def caller(host: Caller) -> Caller:
    return host
